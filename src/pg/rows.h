#pragma once
#include <libpq-fe.h>

#include "pg/connection.h"

namespace walback {

/// Only connection.cpp and rows.cpp know that rows are a PGresult.
struct Rows::Impl {
  explicit Impl(PGresult* taken) : result(taken) {}
  ~Impl() { PQclear(result); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  PGresult* result;
};

}  // namespace walback
