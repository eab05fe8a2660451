#include "restore/verify_base.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kTick{50};
constexpr std::size_t kMostLines = 5;
constexpr std::string_view kPrefix = "pg_verifybackup: error: ";

}  // namespace

Result<BaseVerification> BaseVerification::begin(const Binaries& binaries, const Path& backup) {
  Command command;
  command.program = binaries.program("pg_verifybackup");
  command.arguments = {"--no-parse-wal", "--quiet", backup.string()};
  const auto lines = std::make_shared<Lines>();
  auto process = TRY(real_processes().spawn(command, [lines](std::string_view line) {
    const std::lock_guard guard(lines->mutex);
    if (line.starts_with(kPrefix)) line.remove_prefix(kPrefix.size());
    if (lines->said.size() < kMostLines) lines->said.emplace_back(line);
  }));
  return BaseVerification(lines, std::move(process));
}

Status BaseVerification::finish(Progress& progress, const std::stop_token& stop) {
  std::optional<ExitStatus> how;
  while (!(how = process_->wait(kTick))) {
    progress.report({"verify", 0, 0, "pg_verifybackup reads the base backup"});
    if (!stop.stop_requested()) continue;
    process_->stop(kStopGrace);
    return fail(ErrorKind::interrupted, "the restore was interrupted while the base backup was verified",
                "Start it again; it begins anew.");
  }
  if (how->success()) return {};
  const std::lock_guard guard(lines_->mutex);
  return fail(ErrorKind::corrupt,
              fmt::format("pg_verifybackup ({}): {}", to_string(*how), join(lines_->said, "; ")));
}

}  // namespace walback
