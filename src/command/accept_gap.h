#pragma once
#include "command/command.h"

namespace walback {

/// `walback capture --accept-gap`: what WAL cannot be had any more is accepted, aloud, so that capture goes
/// on behind it. Makes the slot anew where it vanished or was invalidated, opens the next epoch where the
/// primary no longer has the WAL that comes next, and records each gap as accepted. It captures nothing
/// itself: it works while `walback run` does, whose capturer comes back by itself, and while nothing runs.
///
/// First it shows what is lost and asks, on a terminal; `yes` answers for scripts, and without either it
/// refuses. Killed anywhere, it is repeated as it is.
[[nodiscard]] Status accept_gap(Context& context, bool yes);

}  // namespace walback
