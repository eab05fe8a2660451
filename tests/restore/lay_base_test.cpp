#include "restore/lay_base.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"

#include "os/process.h"

using namespace walback;

TEST_CASE("lay base: restore_command is quoted for sh, and its percent signs for PostgreSQL") {
  CHECK(restore_command("/r/walback/walback-fetch", "/r/walback/spool") ==
        "'/r/walback/walback-fetch' '/r/walback/spool' '%f' '%p'");
  CHECK(restore_command("/r 1/f", "/50%/it's \"$HOME\" `x`\\") ==
        "'/r 1/f' '/50%%/it'\\''s \"$HOME\" `x`\\' '%f' '%p'");
}

TEST_CASE("lay base: sh passes odd paths on as they are") {
  const TemporaryDirectory directory;
  const Path spool = directory.path() / "a b'c\"d$HOME`e`\\f;g&h";
  std::string command = restore_command("printf", spool);
  // As PostgreSQL replaces them.
  for (const auto& [from, to] :
       {std::pair{"%%", "%"}, std::pair{"%f", "name"}, std::pair{"%p", "pg_wal/x"}}) {
    for (auto at = command.find(from); at != std::string::npos; at = command.find(from, at + 1))
      command.replace(at, 2, to);
  }
  // printf prints its first argument, the spool: nothing in it is a format.
  const auto output = run({.program = "sh", .arguments = {"-c", command}}, std::chrono::seconds{10});
  REQUIRE(output);
  std::string shown = spool.string();
  for (auto at = shown.find("\\f"); at != std::string::npos; at = shown.find("\\f", at + 1))
    shown.replace(at, 2, "\f");
  CHECK(output->out == shown);
}
