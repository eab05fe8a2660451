#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace walback {

/// What a person who mistyped a command line is told: what was wrong in our words, and the command or option
/// that was probably meant. `app` is the parser after its failure, `arguments` what it was given, without the
/// program.
[[nodiscard]] Error usage_error(const CLI::App& app, const CLI::ParseError& error,
                                const std::vector<std::string>& arguments);

}  // namespace walback
