#pragma once
#include <cstdint>
#include <string_view>

#include "catalog/catalog.h"
#include "restore/recoverable_window.h"
#include "restore/recovery_target.h"

namespace walback {

/// What a drill restores to: any moment may be the one that is needed some day.
///
/// Half of the draws fall on a commit, each commit of the window as likely as another, just before it or with
/// it. A third falls on a time, each second as likely as another, so that long silences are met as often as
/// they are long. The rest is the newest moment: what a person wants when the primary is gone.
enum class MomentDraw : std::uint8_t { commit, time, newest };
[[nodiscard]] std::string_view name_of(MomentDraw draw);

struct RandomMoment {
  MomentDraw draw = MomentDraw::newest;
  TargetOptions target;
};

/// The same seed over the same window draws the same moment. not_found where nothing can be restored.
[[nodiscard]] Result<RandomMoment> random_moment(const Catalog& catalog, const ArchiveIdentity& identity,
                                                 std::uint64_t seed);

}  // namespace walback
