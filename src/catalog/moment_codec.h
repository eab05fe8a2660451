#pragma once
#include <optional>

#include "base/result.h"
#include "catalog/rows.h"

namespace walback {

/// The moment that an event is, with what its kind carries as JSON in `detail`.
[[nodiscard]] MomentRow moment_of(TimelineId timeline, const Event& event);
/// Nothing for an end that removes no relation files and drops no relation.
[[nodiscard]] std::optional<MomentRow> moment_of(TimelineId timeline, const TransactionEnd& end);

/// Back again. Errors: corrupt for a detail that is not what its kind carries; internal for a removal, which
/// is a transaction's end and no Event (`removal_of`), and the other way round.
[[nodiscard]] Result<Event> event_of(const MomentRow& moment);
struct Removal {
  std::vector<RelationFiles> removed_files;
  std::vector<DroppedRelation> dropped_relations;
  bool operator==(const Removal&) const = default;
};
[[nodiscard]] Result<Removal> removal_of(const MomentRow& moment);

[[nodiscard]] std::string_view name_of(MomentKind kind);
[[nodiscard]] std::optional<MomentKind> moment_kind_named(std::string_view name);

}  // namespace walback
