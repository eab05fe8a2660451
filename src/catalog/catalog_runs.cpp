#include "catalog/catalog_impl.h"

namespace walback {

Status Catalog::each_segment_run(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                                 const std::function<bool(const Run&)>& visit) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT number, epoch, state = 'finished' AND problem = '' FROM wal_segments "
      "WHERE timeline = ? AND number BETWEEN ? AND ? AND superseded = 0 ORDER BY number"));
  statement.bind(timeline, from, to_inclusive);
  std::optional<Run> run;
  while (TRY(statement.step())) {
    const SegmentNumber number{static_cast<std::uint64_t>(statement.integer(0))};
    const auto epoch = static_cast<std::uint32_t>(statement.integer(1));
    const bool sound = statement.integer(2) != 0;
    if (run && run->sound && sound && run->epoch == epoch && run->last.value + 1 == number.value) {
      run->last = number;
      continue;
    }
    if (run && !visit(*run)) return {};
    run = Run{number, number, epoch, sound};
  }
  if (run) visit(*run);
  return {};
}

}  // namespace walback
