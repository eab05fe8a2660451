#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "pg/connection.h"

/// `walback.wal_segments` on the primary: changed rows of the catalog, for people with psql.
///
/// An idle primary stays idle. Writing the mirror is itself a commit, which changes the open segment's row,
/// which would be a reason to write the mirror, for ever. So a round is due only when rows were removed since
/// the last one, or the index holds a commit, behind the place that it had seen, whose xid is not one of the
/// mirror's own. Xids are noted in the catalog before they commit; the place and the version are noted after.
/// Killed between the two, the mirror writes the same rows once more, which changes nothing on the primary
/// but that one commit.
namespace walback {

inline constexpr std::chrono::milliseconds kMirrorInterval{5'000};
inline constexpr int kMirrorRowsPerRound = 1'000;

/// The mirror's own xids, the newest last; kept in the catalog as text: "741 745 760".
class OwnXids {
 public:
  static constexpr std::size_t kKept = 64;
  [[nodiscard]] static OwnXids parse(const std::string& text);
  void add(std::uint64_t xid);
  /// WAL records name the low 32 bits.
  [[nodiscard]] bool contains(std::uint32_t xid) const;
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::uint64_t> xids_;
};

class Mirror {
 public:
  /// `slot`: under which name its rows stand beside those of other archives of the same primary.
  explicit Mirror(const ArchiveContext& archive, std::string slot = "walback")
      : archive_(archive), slot_(std::move(slot)) {}

  /// Reads the catalog alone.
  [[nodiscard]] Result<bool> due(Catalog& catalog);
  /// Was it somebody else than the mirrors of other walbacks on this primary? Two that answered each other's
  /// commits would keep it busy for ever. Their xids stand in `walback.mirrors`, written with each round.
  [[nodiscard]] Result<bool> still_due(Catalog& catalog, Connection& connection);
  /// One round of at most kMirrorRowsPerRound rows; returns how many it wrote. `connection` should have
  /// synchronous_commit off: nobody waits for the mirror.
  [[nodiscard]] Result<std::size_t> write(Catalog& catalog, Connection& connection);

 private:
  ArchiveContext archive_;
  std::string slot_;
};

}  // namespace walback
