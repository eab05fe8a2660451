#pragma once
#include <string>
#include <vector>

#include "integration/support/lab_fixture.h"

namespace walback::test {

/// Runs a walback command that is killed at a crash point (os/crash_point.h), the `nth` time it comes by; the
/// test fails when it was not. Returns what it had said.
WalbackRun killed_at(const LabFixture& lab, const std::string& label,
                     const std::vector<std::string>& arguments, int nth = 1);

/// The names in a directory, sorted.
[[nodiscard]] std::vector<std::string> names_in(const Path& directory);

}  // namespace walback::test
