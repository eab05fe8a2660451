#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace walback {

struct ConfLine {
  std::string name;  ///< lower case
  std::string value;
};

/// PostgreSQL compares the names of settings without regard to case.
[[nodiscard]] std::string setting_name(std::string_view text);

/// postgresql.conf or postgresql.auto.conf, line by line: `name = value`, `name value`, quotes with '' or \'
/// inside, comments. include, include_dir and include_if_exists come out as settings of that name. A line
/// that is none of these comes out with the name "" and the line as its value. (Manual: "Parameter
/// Interaction via the Configuration File".)
[[nodiscard]] std::vector<ConfLine> parse_settings(std::string_view text);
[[nodiscard]] std::string render_setting(std::string_view name, std::string_view value);

}  // namespace walback
