#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/timestamp.h"
#include "os/file_system.h"
#include "pg/binaries.h"
#include "wal/lsn.h"

/// What the WAL of an archive says, told by PostgreSQL's pg_waldump alone: no reader, index or catalog of
/// walback's has a part in it, so that it can judge them.
namespace walback::test {

/// A transaction's end, as pg_waldump prints it.
struct DumpedEnd {
  std::size_t record = 0;  ///< its place in the order of the WAL
  Lsn lsn;
  bool commit = false;
  std::uint32_t xid = 0;  ///< the top-level one; of a prepared transaction its own
  Timestamp time;
  std::vector<std::uint32_t> subxids;
};

/// A target's answer: the records [0, cut) are replayed, those from `cut` on are not.
using Cut = std::size_t;

class WaldumpOracle {
 public:
  /// Every record of one timeline in an epoch's directory, from its oldest segment to the first invalid
  /// record. A `.partial` is copied to its bare name below `scratch`. What cannot be read fails the test.
  WaldumpOracle(const Binaries& binaries, const Path& epoch, const Path& scratch, std::uint32_t timeline = 1);

  [[nodiscard]] const std::vector<Lsn>& records() const { return records_; }  ///< their STARTs
  [[nodiscard]] const std::vector<DumpedEnd>& ends() const { return ends_; }  ///< in WAL order
  [[nodiscard]] std::vector<DumpedEnd> commits() const;
  /// Names with the record's place.
  [[nodiscard]] const std::vector<std::pair<std::string, std::size_t>>& restore_points() const {
    return restore_points_;
  }
  /// Where the valid WAL ends, where pg_waldump says so.
  [[nodiscard]] std::optional<Lsn> end() const { return end_; }

  /// The rules of a stop, one for each kind of target. Nothing: no record decides.
  /// Ends at the first commit or abort stamped later than `time` (with `before`: then or later).
  [[nodiscard]] std::optional<Cut> at_time(Timestamp time, bool before) const;
  /// Up to and with the first record that starts at or after `lsn`; with `before`, only what starts before.
  [[nodiscard]] std::optional<Cut> at_lsn(Lsn lsn, bool before) const;
  /// Up to and with the commit of this transaction, or of the one whose subtransaction it is.
  [[nodiscard]] std::optional<Cut> at_xid(std::uint32_t xid, bool before) const;
  [[nodiscard]] std::optional<Cut> at_name(const std::string& name, bool before) const;
  [[nodiscard]] Cut at_end() const { return records_.size(); }
  /// Behind the records that end a base backup: what lies before the first cannot be reached.
  [[nodiscard]] const std::vector<Cut>& backup_ends() const { return backup_ends_; }

  [[nodiscard]] const DumpedEnd* last_commit(Cut cut) const;
  [[nodiscard]] const DumpedEnd* next_commit(Cut cut) const;
  [[nodiscard]] bool aborted(std::uint32_t xid) const { return aborted_.contains(xid); }

  /// Of rows with the xid (or subtransaction's) that wrote them: those that are visible after `cut`.
  [[nodiscard]] std::set<std::int64_t> visible(
      const std::vector<std::pair<std::int64_t, std::uint32_t>>& rows, Cut cut) const;

 private:
  void take_line(std::string_view line);
  void take_end(std::string_view desc, std::uint32_t xid);

  std::vector<Lsn> records_;
  std::vector<DumpedEnd> ends_;
  std::vector<std::pair<std::string, std::size_t>> restore_points_;
  std::vector<Cut> backup_ends_;
  std::map<std::uint32_t, std::size_t> committed_;  ///< xid or subxid → its commit among ends_
  std::set<std::uint32_t> aborted_;
  std::optional<Lsn> end_;
};

}  // namespace walback::test
