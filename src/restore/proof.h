#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/timestamp.h"
#include "os/file_system.h"
#include "pg/recovery_queries.h"
#include "pg/server.h"
#include "restore/plan.h"
#include "restore/restored_tablespace.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// A restore is not believed because it ended: what the copy says it reached is held against what the plan
/// said it would reach. Every difference is a failure (kind mismatch), never a warning.
namespace walback {

/// The part of a plan that a restored cluster is held against.
struct Expectation {
  ArchiveIdentity identity;
  TimelineId timeline;
  StopPoint stop;
  Lsn replay_end;  ///< start of the first record that is not replayed, page headers skipped
  std::optional<TransactionEnd> last_commit, next_commit;
  /// Time of the last commit or abort that starts below the stop and is replayed by this restore. PostgreSQL
  /// does not count the record AT an inclusive LSN stop (recoveryStopsAfter returns before it notes the
  /// time).
  std::optional<Timestamp> last_transaction_time;
};
/// `plan.expected_end` must be known (settle_stop).
[[nodiscard]] Expectation expectation_of(const RestorePlan& plan);
/// Kept beside a paused copy, so that its promotion is held against the same plan.
[[nodiscard]] Json to_json(const Expectation& expectation);
[[nodiscard]] Result<Expectation> parse_expectation(const Json& json, const std::string& what);

/// What the copy says. What could not be asked is nothing: `promoted_without_pause` explains why.
struct Reached {
  std::uint64_t system_identifier = 0;
  /// It could not be asked at the stop: hot standby never came up (overflowed subtransactions), or an earlier
  /// promotion was cut short.
  bool promoted_without_pause = false;
  std::optional<TimelineId> timeline;  ///< that the new one was forked from; known after the promotion alone
  std::optional<Lsn> replay_lsn;
  std::optional<Timestamp> last_transaction_time;
  std::optional<TransactionStatus> last_commit, next_commit;
  std::optional<TimelineId> new_timeline;
  std::optional<Lsn> switch_point;  ///< where the new timeline's .history says that it began
};

enum class ProofStage : std::uint8_t { paused, promoted };
/// One line a difference, "replay ended at 0/3000060, expected 0/3000148"; empty: it is what was planned.
[[nodiscard]] std::vector<std::string> differences(const Expectation& expected, const Reached& reached,
                                                   ProofStage stage);

struct PhaseTiming {
  std::string phase;
  std::int64_t duration_us = 0;
};

struct Proof {
  explicit Proof(Expectation expectation) : expected(std::move(expectation)) {}

  std::string name, directory, target;
  std::uint16_t port = 0;
  ProofStage stage = ProofStage::promoted;
  std::string backup_id;
  Expectation expected;
  Reached reached;
  bool compared = false;  ///< a copy that was never asked proves nothing
  std::vector<std::string> differences;
  Curiosities curiosities;
  std::vector<std::string> dropped_settings;
  std::vector<RestoredTablespace> tablespaces;
  std::vector<std::string> warnings;
  std::vector<PhaseTiming> timings;
  std::uint64_t wal_bytes = 0, wal_segments = 0, base_bytes = 0;
  Timestamp written_at;

  /// Holds what was reached against what was expected.
  void compare(ProofStage at);
  [[nodiscard]] bool holds() const { return compared && differences.empty(); }
};
[[nodiscard]] Json to_json(const Proof& proof);
/// For a person: what was promised, what was reached, how long it took, what to know.
[[nodiscard]] std::string render_text(const Proof& proof);

/// Asks the paused copy (or, where it never paused, the promoted one).
[[nodiscard]] Status ask_while_paused(Connection& connection, const Expectation& expected, Reached& reached);
/// Reads the new timeline's history file of the promoted copy's data directory.
[[nodiscard]] Status read_switch_point(FileSystem& files, const Path& data_directory, TimelineId new_timeline,
                                       Reached& reached);

}  // namespace walback
