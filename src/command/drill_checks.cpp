#include "command/drill_checks.h"

#include <fmt/format.h>

#include "base/text.h"
#include "command/command.h"
#include "os/process.h"
#include "pg/recovery_queries.h"

namespace walback {
namespace {

constexpr std::size_t kMostLines = 5;
constexpr std::chrono::hours kLongest{24};

/// The first lines of what it said: it names every bad block.
std::string first_lines(const Output& output) {
  std::vector<std::string> lines;
  std::size_t found = 0;
  for (const std::string& text : {output.out, output.err}) {
    for (const std::string_view line : split(trim(text), '\n')) {
      if (trim(line).empty()) continue;
      if (++found <= kMostLines) lines.emplace_back(trim(line));
    }
  }
  if (found > kMostLines) lines.push_back(fmt::format("and {} more lines", found - kMostLines));
  return join(lines, "; ");
}

}  // namespace

Status check_amcheck_is_here(FileSystem& files, const Binaries& binaries) {
  const Path root = binaries.directory.parent_path();
  const std::string package =
      fmt::format("Install it (apt install postgresql-{0} postgresql-client-{0}), or leave --amcheck out.",
                  binaries.major);
  if (!exists(files, binaries.program("pg_amcheck")))
    return fail(ErrorKind::not_found, fmt::format("'{}' is missing", binaries.program("pg_amcheck").string()),
                package);
  // Where PostgreSQL's own library lies elsewhere this is another layout, and the server is asked instead.
  if (!exists(files, root / "lib" / "plpgsql.so") || exists(files, root / "lib" / "amcheck.so")) return {};
  return fail(ErrorKind::not_found,
              fmt::format("the extension amcheck is missing: there is no '{}'",
                          (root / "lib" / "amcheck.so").string()),
              package);
}

Result<std::string> run_amcheck(RestoredServer& server, const std::vector<std::string>& superusers,
                                const std::string& socket_directory, std::uint16_t port,
                                const AmcheckOptions& options, std::stop_token stop) {
  Connection connection = TRY(server.connect(superusers));
  const Rows who = TRY(connection.query("SELECT current_user"));
  const std::size_t databases = TRY(other_databases(connection)).size() + 1;
  Command command{
      .program = options.binaries.program("pg_amcheck"),
      .arguments = {"--all", "--install-missing", "--no-password", "--jobs", std::to_string(options.jobs),
                    "--host", socket_directory, "--port", std::to_string(port), "--username", who.text(0, 0)},
      .environment = {{"PGOPTIONS", ""}, {"PGDATABASE", ""}, {"PGSERVICE", ""}}};
  if (options.heapallindexed) command.arguments.emplace_back("--heapallindexed");
  const Output output = TRY(run(command, kLongest, std::move(stop)));
  const std::string what = fmt::format("{}{}", count_of(databases, "database"),
                                       options.heapallindexed ? ", every row in every index" : "");
  if (output.status.success()) return what + ": nothing found";
  // 2: it ran to its end and found something. Anything else: it could not look.
  if (output.status.code == 2)
    return fail(ErrorKind::corrupt, "pg_amcheck of the restored cluster: " + first_lines(output),
                "The primary may have the same damage: run pg_amcheck there; older base backups may not.");
  return fail(ErrorKind::unavailable,
              fmt::format("pg_amcheck ended with {}: {}", to_string(output.status), first_lines(output)),
              "The restored cluster was not checked.");
}

}  // namespace walback
