#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/timestamp.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

enum class TargetKind : std::uint8_t { time, lsn, xid, name, latest, consistent };
[[nodiscard]] std::string_view name_of(TargetKind kind);

/// The point that a restore shall reach, as a person asked for it (the copy that is built there is the
/// restored cluster, never "target"). Only the member that `kind` names is meaningful.
///
/// Without `before`: a time includes the commits stamped exactly then; an LSN is PostgreSQL's own, up to and
/// with the first record that starts at or after it; a transaction and a restore point are included. With
/// `before`: commits stamped exactly then, the record at the LSN, the transaction, the restore point are out.
struct RecoveryTarget {
  TargetKind kind = TargetKind::latest;
  Timestamp time;
  Lsn lsn;
  std::uint32_t xid = 0;
  std::string name;  ///< of a restore point
  bool before = false;
  std::optional<TimelineId> timeline;  ///< none: the newest
  bool operator==(const RecoveryTarget&) const = default;
};

/// The options of `plan` and `restore` as they were typed; the command line library fills it.
struct TargetOptions {
  std::optional<std::string> to_time{}, to_lsn{}, to_xid{}, to_name{}, timeline{};
  bool to_latest = false, to_consistent = false, before = false;
};

/// Exactly one --to-… is needed; --before makes no sense with --to-latest and --to-consistent. `zone` is the
/// configured one, `now` what relative times count from. Errors: usage, with the value as it was typed.
[[nodiscard]] Result<RecoveryTarget> parse_recovery_target(const TargetOptions& options,
                                                           std::string_view zone, Timestamp now);

/// The value of one option. Each refuses with the text that was typed.
[[nodiscard]] Result<Lsn> parse_target_lsn(std::string_view text);
[[nodiscard]] Result<std::uint32_t> parse_target_xid(std::string_view text);
[[nodiscard]] Result<std::string> parse_target_name(std::string_view text);
[[nodiscard]] Result<TimelineId> parse_target_timeline(std::string_view text);

/// For people: "before transaction 7341", "2026-11-20T10:42:07.000000Z", "the end of the captured WAL on
/// timeline 2".
[[nodiscard]] std::string to_string(const RecoveryTarget& target);
/// As options: "--to-xid 7341 --before". Parsing it again gives the same target.
[[nodiscard]] std::string to_options(const RecoveryTarget& target);

}  // namespace walback
