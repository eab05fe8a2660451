#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/progress.h"
#include "pg/base_backup_progress.h"

namespace walback {

/// Judges a running pg_basebackup, which by itself would wait without end: for an archive_command that fails
/// (with archive_mode=on a base backup ends only when its WAL is archived), or for a server that is stopped.
/// Pure: what was seen goes in, a verdict comes out.
class BackupWatch {
 public:
  enum class Verdict : std::uint8_t { go_on, archiver_stuck, silent };
  explicit BackupWatch(std::chrono::microseconds archiver_bound)
      : archiver_bound_us_(archiver_bound.count()) {}

  /// A line of pg_basebackup --verbose --progress.
  void note_line(std::string_view line);
  /// `seen`: the primary answered; `progress`: its row of pg_stat_progress_basebackup, if there was one.
  [[nodiscard]] Verdict observe(std::int64_t now_us, bool seen,
                                const std::optional<BaseBackupProgress>& progress);

  /// What a person is shown.
  [[nodiscard]] ProgressState shown() const;
  /// What pg_basebackup said was wrong, all of it in one line; empty when it did not.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }
  [[nodiscard]] ErrorKind complaint_kind() const;
  /// How many tablespaces are copied, pg_default among them; nothing until pg_basebackup said so.
  [[nodiscard]] std::optional<std::uint64_t> tablespaces_listed() const { return tablespaces_listed_; }

  /// Neither a byte nor a word, and the primary does not say that it is at work on a checkpoint.
  static constexpr std::int64_t kSilenceBound = 300'000'000;

 private:
  std::int64_t archiver_bound_us_;
  std::optional<std::int64_t> archiver_since_us_, silent_since_us_;
  bool sign_of_life_ = false;
  bool syncing_ = false;  ///< all is received; the disk is at work, and may take its time
  bool failing_ = false;  ///< the lines that follow belong to an error
  std::string complaint_;
  std::optional<std::uint64_t> tablespaces_listed_;
  std::optional<BaseBackupProgress> last_;
};

}  // namespace walback
