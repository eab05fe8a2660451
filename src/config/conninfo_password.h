#pragma once
#include <string>

namespace walback {

/// Does a libpq connection string (pairs or URI) name a password? A scan, because libpq lives in pg/, which
/// parses the same string properly before it is used; what is malformed is left to it.
[[nodiscard]] bool holds_password(const std::string& conninfo);

}  // namespace walback
