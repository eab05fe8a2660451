#include "catalog/rows.h"

#include <algorithm>
#include <array>

namespace walback {
namespace {

constexpr std::array<std::string_view, 3> kSegmentStates{"open", "finished", "ended"};
constexpr std::array<std::string_view, 5> kRestoreStates{"running", "paused", "complete", "failed",
                                                         "removed"};

template <class Enum, std::size_t N>
std::optional<Enum> named(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

}  // namespace

std::string_view name_of(SegmentState state) {
  return kSegmentStates.at(static_cast<std::size_t>(state));
}
std::optional<SegmentState> segment_state_named(std::string_view name) {
  return named<SegmentState>(kSegmentStates, name);
}

std::string_view name_of(RestoreState state) {
  return kRestoreStates.at(static_cast<std::size_t>(state));
}
std::optional<RestoreState> restore_state_named(std::string_view name) {
  return named<RestoreState>(kRestoreStates, name);
}

}  // namespace walback
