#pragma once
#include <stop_token>

#include "base/clock.h"
#include "base/progress.h"
#include "base/result.h"
#include "restore/feeder.h"
#include "restore/plan.h"
#include "restore/restored_server.h"

namespace walback {

struct ReplayWatch {
  FileSystem& files;
  Clock& clock;
  const RestoredLayout& layout;
  const RestorePlan& plan;
  const std::vector<std::string>& superusers;
  Feeder& feeder;
};

enum class ReplayEnd : std::uint8_t {
  paused,    ///< at the planned stop
  promoted,  ///< without a pause: hot standby never came up
};

/// Waits for the end of replay and tells how far it is: bytes and segments handed out, the time that replay
/// has reached, what is left. PostgreSQL also says `paused` before the target, when its settings are below
/// the primary's: that is a mismatch. A server that ended, or a feeder that failed, ends the wait with its
/// reason.
[[nodiscard]] Result<ReplayEnd> watch_replay(const ReplayWatch& watch, RestoredServer& server,
                                             Progress& progress, std::stop_token stop);

}  // namespace walback
