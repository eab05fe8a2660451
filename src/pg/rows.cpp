#include "pg/rows.h"

#include <charconv>
#include <string_view>

#include "base/text.h"

namespace walback {
namespace {

/// PQgetvalue outside the result warns on stderr; a value that is not there is an empty one here.
std::string_view field(const PGresult* result, int row, int column) {
  if (row < 0 || row >= PQntuples(result) || column < 0 || column >= PQnfields(result)) return {};
  return {PQgetvalue(result, row, column), static_cast<std::size_t>(PQgetlength(result, row, column))};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

int Rows::count() const {
  return PQntuples(impl_->result);
}

bool Rows::is_null(int row, int column) const {
  if (row < 0 || row >= count() || column < 0 || column >= PQnfields(impl_->result)) return true;
  return PQgetisnull(impl_->result, row, column) != 0;
}

std::string Rows::text(int row, int column) const {
  return std::string(field(impl_->result, row, column));
}

std::int64_t Rows::integer(int row, int column) const {
  return parse_integer(field(impl_->result, row, column)).value_or(0);
}

bool Rows::boolean(int row, int column) const {
  return field(impl_->result, row, column) == "t";
}

std::optional<Lsn> Rows::lsn(int row, int column) const {
  return parse_lsn(field(impl_->result, row, column));
}

std::optional<Timestamp> Rows::time(int row, int column) const {
  const auto unix_us = parse_integer(field(impl_->result, row, column));
  if (!unix_us) return std::nullopt;
  return Timestamp{*unix_us};
}

}  // namespace walback
