#pragma once
#include <memory>

#include "base/clock.h"
#include "base/progress.h"

namespace walback {

/// A bar that is redrawn at most ten times a second on a terminal; elsewhere a plain line when the phase
/// changes and every five seconds, so that a log stays readable.
[[nodiscard]] std::unique_ptr<Progress> make_progress(int descriptor, const Clock& clock);
[[nodiscard]] std::unique_ptr<Progress> make_silent_progress();

/// The bar's text: "replay  [#########.......]  56 %  1.2 GB of 2.1 GB, segment 72 of 128". Pure.
[[nodiscard]] std::string render_progress(const ProgressState& state, std::size_t columns);

}  // namespace walback
