#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "os/file_system.h"
#include "pg/connection.h"
#include "pg/server.h"
#include "wal/lsn.h"

/// What a client was told about its commits, kept outside the database: the evidence that a restore is held
/// against. `verification_log.json`, one JSON object a line, appended only.
namespace walback {

/// acknowledged: COMMIT returned, without a warning. in_doubt: it was sent, and its answer never came or came
/// with a warning (a cancelled wait for the receiver). failed: no COMMIT was sent, the row cannot be there.
enum class LedgerState : std::uint8_t { acknowledged, in_doubt, failed };
[[nodiscard]] std::string_view name_of(LedgerState state);

/// How a commit in doubt ended on the primary, found out later.
enum class Settlement : std::uint8_t { committed, aborted };
[[nodiscard]] std::string_view name_of(Settlement settlement);

/// One row of `test_data` and what became of its commit. The commit record lies in
/// [insert_lsn_before, insert_lsn_after): the first was read before COMMIT was sent, the second after it
/// returned.
struct LedgerEntry {
  std::int64_t id = 0;  ///< below 2^53, so that any JSON reader keeps it exact
  int writer = 0;
  std::uint32_t xid = 0;  ///< 0 where the insert failed
  std::optional<Timestamp> created_at;
  std::optional<Lsn> insert_lsn_before, insert_lsn_after;
  std::optional<Timestamp> commit_time;  ///< the commit record's own, with track_commit_timestamp=on
  std::int64_t sent_us = 0;              ///< CLOCK_MONOTONIC
  std::optional<std::int64_t> acknowledged_us;
  std::optional<std::int64_t> gave_up_us;  ///< in doubt: when it was known that no answer comes
  LedgerState state = LedgerState::acknowledged;
  bool durable = false;  ///< acknowledged while the server waited for a synchronous receiver
  std::string problem;   ///< of a commit in doubt or failed: the warning or the error
  std::optional<Settlement> settled;
  bool operator==(const LedgerEntry&) const = default;
};

/// Without the newline. A line of a settlement repeats the entry with `settled`.
[[nodiscard]] std::string to_ledger_line(const LedgerEntry& entry);
/// Nothing for a line that is torn or is no entry.
[[nodiscard]] std::optional<LedgerEntry> parse_ledger_line(std::string_view line);

struct Ledger {
  std::vector<LedgerEntry> entries;  ///< one an id, in the order of first appearance; a later line wins
  std::uint64_t damaged_lines = 0;   ///< torn by a crash, or senseless
};
/// An absent ledger is not_found. What was on its way when a load generator was killed (`<path>.inflight`) is
/// among the entries, in doubt.
[[nodiscard]] Result<Ledger> read_ledger(const Path& path);

/// The one writer of a ledger; thread safe. A line is one write(): it survives kill -9 of the writer, and
/// reaches the disk with `close`. (An fsync a line would cost more than the commit that it records.)
///
/// `<path>.inflight` holds one slot a writer, overwritten before each COMMIT is sent: a generator killed
/// between COMMIT and its answer would otherwise leave a row that nobody ever heard of. A second line a
/// commit in the ledger itself was rejected: it doubles what every reader has to read.
class LedgerWriter {
 public:
  /// Appends to what is there. What a killed run left in flight is written as in doubt, and a torn last line
  /// is closed. In use by somebody else: `conflict`.
  [[nodiscard]] static Result<LedgerWriter> open(const Path& path);
  LedgerWriter(LedgerWriter&&) noexcept;
  LedgerWriter& operator=(LedgerWriter&&) noexcept;
  ~LedgerWriter();

  /// Before COMMIT is sent; `writer` 0 to kMaxLedgerWriters - 1.
  [[nodiscard]] Status in_flight(const LedgerEntry& entry);
  /// When its fate is known.
  [[nodiscard]] Status append(const LedgerEntry& entry);
  /// fsync, and the in-flight file goes away.
  [[nodiscard]] Status close();

 private:
  struct Impl;
  explicit LedgerWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};
inline constexpr int kMaxLedgerWriters = 1'000;

/// What the primary says of a commit in doubt.
struct DoubtEvidence {
  TransactionStatus status = TransactionStatus::forgotten;
  std::optional<bool> row_present;  ///< nothing: the table is not there
  /// Was the xid's commit record stamped before the writer gave up? Nothing: the server does not know.
  std::optional<bool> stamped_in_time;
};
/// Pure. The row is the first judge: an xid handed out shortly before a crash is handed out again afterwards,
/// to somebody else, so that its status alone would call a lost commit committed. Nothing: cannot tell (yet).
[[nodiscard]] std::optional<Settlement> settle(const DoubtEvidence& evidence);

struct SettleReport {
  std::uint64_t in_doubt = 0;  ///< entries that were unsettled before
  std::uint64_t committed = 0, aborted = 0;
  std::uint64_t undecided = 0;  ///< still running, or the table is gone
};
/// Asks the primary (never a restored copy: it may have stopped before) about every unsettled commit in doubt
/// and appends what it says.
[[nodiscard]] Result<SettleReport> settle_ledger(Connection& primary, const Path& path);

}  // namespace walback
