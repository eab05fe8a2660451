#include "base/error.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/result.h"

using namespace walback;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorKind::usage, std::to_string(number) + " is odd", "Take an even one.");
  return number / 2;
}

Result<std::string> quarter(int number) {
  const int halved = TRY(half(number));
  return std::to_string(TRY(half(halved)));
}

Status check_even(int number) {
  TRY(half(number));
  return {};
}

}  // namespace

TEST_CASE("error: the numbers are a contract with other programs, all below 126") {
  const std::pair<ErrorKind, const char*> contract[] = {
      {ErrorKind::internal, "1 internal"},
      {ErrorKind::usage, "2 usage"},
      {ErrorKind::config, "3 config"},
      {ErrorKind::not_found, "4 not_found"},
      {ErrorKind::unreachable, "5 unreachable"},
      {ErrorKind::conflict, "6 conflict"},
      {ErrorKind::corrupt, "7 corrupt"},
      {ErrorKind::foreign_system, "8 foreign_system"},
      {ErrorKind::unavailable, "9 unavailable"},
      {ErrorKind::disk_full, "10 disk_full"},
      {ErrorKind::interrupted, "11 interrupted"},
      {ErrorKind::mismatch, "12 mismatch"},
      {ErrorKind::findings, "13 findings"},
  };
  std::set<std::string_view> meanings;
  for (const auto& [kind, text] : contract) {
    CHECK(std::to_string(exit_code(kind)) + " " + std::string(name_of(kind)) == text);
    CHECK(exit_code(kind) < 126);
    CHECK_FALSE(meaning_of(kind).empty());
    meanings.insert(meaning_of(kind));
  }
  CHECK(meanings.size() == std::size(contract));
}

TEST_CASE("error: rendered for people, the hint on a line of its own") {
  CHECK(render({ErrorKind::not_found, "no base backup ends before 0/5000000", ""}) ==
        "walback: no base backup ends before 0/5000000");
  CHECK(render({ErrorKind::not_found, "no base backup", "Take one with: walback backup"}) ==
        "walback: no base backup\nhint: Take one with: walback backup");
}

TEST_CASE("result: TRY yields the value or hands the error on, whole") {
  CHECK(quarter(8) == "2");
  CHECK(quarter(6).error() == Error{ErrorKind::usage, "3 is odd", "Take an even one."});
  CHECK(check_even(2).has_value());
  CHECK(check_even(5).error().message == "5 is odd");
}
