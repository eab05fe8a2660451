#include "backup/backup_watch.h"

#include <fmt/format.h>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::string_view kCheckpointPhase = "waiting for checkpoint to finish";
constexpr std::string_view kArchivingPhase = "waiting for wal archiving to finish";

bool contains(std::string_view line, std::string_view part) {
  return line.find(part) != std::string_view::npos;
}

/// "147133/147133 kB (100%), 0/1 tablespace (…)"
bool is_progress(std::string_view line) {
  return contains(line, " kB (") && contains(line, "tablespace");
}

/// The 3 of "…, 1/3 tablespaces (…)".
std::optional<std::uint64_t> listed_in(std::string_view line) {
  const auto end = line.find(" tablespace");
  const auto slash = line.rfind('/', end);
  if (end == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  return parse_decimal(line.substr(slash + 1, end - slash - 1));
}

}  // namespace

void BackupWatch::note_line(std::string_view line) {
  sign_of_life_ = true;
  if (is_progress(line)) {
    tablespaces_listed_ = listed_in(line);
    return;
  }
  const auto error = line.find("error: ");
  if (error != std::string_view::npos || contains(line, "FATAL:") || contains(line, "fatal: ")) {
    failing_ = true;
    if (!complaint_.empty()) complaint_ += "; ";
    complaint_ += trim(error == std::string_view::npos ? line : line.substr(error + 7));
  } else if (failing_ && line.starts_with("pg_basebackup: detail: ")) {
    complaint_ += " (" + std::string(trim(line.substr(23))) + ")";
  } else if (failing_ && !line.starts_with("pg_basebackup: ")) {
    complaint_ += " " + std::string(trim(line));
  } else {
    failing_ = false;
    if (contains(line, "syncing data to disk")) syncing_ = true;
  }
}

ErrorKind BackupWatch::complaint_kind() const {
  if (contains(complaint_, "No space left on device") || contains(complaint_, "Disk quota exceeded")) {
    return ErrorKind::disk_full;
  }
  if (contains(complaint_, "no pg_hba.conf entry") || contains(complaint_, "authentication failed") ||
      contains(complaint_, "no password supplied") || contains(complaint_, "permission denied")) {
    return ErrorKind::config;
  }
  if (contains(complaint_, "connection to server") || contains(complaint_, "server closed the connection")) {
    return ErrorKind::unreachable;
  }
  return ErrorKind::unavailable;
}

BackupWatch::Verdict BackupWatch::observe(std::int64_t now_us, bool seen,
                                          const std::optional<BaseBackupProgress>& progress) {
  const bool moved = progress && (!last_ || last_->phase != progress->phase ||
                                  last_->streamed_bytes != progress->streamed_bytes);
  const bool alive = sign_of_life_ || moved || syncing_ || (progress && progress->phase == kCheckpointPhase);
  sign_of_life_ = false;
  if (progress) last_ = progress;

  // Where the primary does not answer, the last known phase counts: nothing says that it is over.
  const bool archiving = !syncing_ && last_ && last_->phase == kArchivingPhase && (progress || !seen);
  if (!archiving) {
    archiver_since_us_.reset();
  } else if (!archiver_since_us_) {
    archiver_since_us_ = now_us;
  } else if (now_us - *archiver_since_us_ >= archiver_bound_us_) {
    return Verdict::archiver_stuck;
  }

  if (alive || !silent_since_us_) silent_since_us_ = now_us;
  return now_us - *silent_since_us_ >= kSilenceBound ? Verdict::silent : Verdict::go_on;
}

ProgressState BackupWatch::shown() const {
  ProgressState state;
  state.phase = "base backup";
  if (syncing_) {
    state.detail = "syncing to disk";
  } else if (!last_) {
    state.detail = "starting";
  } else if (last_->phase != "streaming database files") {
    state.detail = last_->phase;
  }
  if (last_) {
    state.done = last_->streamed_bytes;
    state.total = last_->total_bytes.value_or(0);
  }
  return state;
}

}  // namespace walback
