#include "restore/verify_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "catalog/backup_tablespaces.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kTick{50};
constexpr std::size_t kMostLines = 5;
constexpr std::string_view kPrefix = "pg_verifybackup: error: ";

/// What a process has read so far, as Linux counts it; pg_verifybackup of 15 tells nobody.
std::uint64_t bytes_read_by(int pid) {
  const auto text = real_file_system().read(fmt::format("/proc/{}/io", pid));
  constexpr std::string_view key = "rchar: ";
  if (!text || !text->starts_with(key)) return 0;
  const std::string_view rest = std::string_view(*text).substr(key.size());
  return parse_decimal(rest.substr(0, rest.find('\n'))).value_or(0);
}

}  // namespace

Result<BaseVerification> BaseVerification::begin(FileSystem& files, const Binaries& binaries,
                                                 const Path& backup) {
  Command command;
  command.program = binaries.program("pg_verifybackup");
  command.arguments = verifybackup_arguments(backup, TRY(tablespaces_in_backup(files, backup)));
  const auto lines = std::make_shared<Lines>();
  auto process = TRY(real_processes().spawn(command, [lines](std::string_view line) {
    const std::lock_guard guard(lines->mutex);
    if (line.starts_with(kPrefix)) line.remove_prefix(kPrefix.size());
    if (lines->said.size() < kMostLines) lines->said.emplace_back(line);
  }));
  return BaseVerification(lines, std::move(process));
}

Status BaseVerification::finish(Progress& progress, const std::stop_token& stop, std::uint64_t total_bytes) {
  std::optional<ExitStatus> how;
  while (!(how = process_->wait(kTick))) {
    const std::uint64_t done = total_bytes == 0 ? 0 : std::min(bytes_read_by(process_->pid()), total_bytes);
    progress.report({"verify", done, total_bytes, "pg_verifybackup reads the base backup"});
    if (!stop.stop_requested()) continue;
    process_->stop(kStopGrace);
    return fail(ErrorKind::interrupted, "interrupted while the base backup was verified",
                "Start it again; it begins anew.");
  }
  if (how->success()) return {};
  const std::lock_guard guard(lines_->mutex);
  return fail(ErrorKind::corrupt,
              fmt::format("pg_verifybackup ({}): {}", to_string(*how), join(lines_->said, "; ")));
}

}  // namespace walback
