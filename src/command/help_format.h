#pragma once
#include <CLI/CLI.hpp>

namespace walback {

/// `--help` for people: what an option takes, not how the parser checks it. Ranges, and options that go
/// together or exclude each other, are told when somebody types them wrong.
class HelpFormat : public CLI::Formatter {
 public:
  [[nodiscard]] std::string make_option_opts(const CLI::Option* option) const override;
};

}  // namespace walback
