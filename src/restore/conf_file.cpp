#include "restore/conf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace walback {
namespace {

char unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

/// The value from its first character on: quoted ('' is a quote inside, a backslash escapes as in C but for
/// octal digits, which nobody writes) or up to a blank or a comment.
std::string read_value(std::string_view text) {
  if (!text.starts_with('\'')) return std::string(text.substr(0, text.find_first_of(" \t#")));
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      value += unescaped(text[++i]);
    } else if (text[i] != '\'') {
      value += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == '\'') {
      value += text[++i];
    } else {
      break;
    }
  }
  return value;
}

}  // namespace

std::string setting_name(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::vector<ConfLine> parse_settings(std::string_view text) {
  std::vector<ConfLine> settings;
  for (const std::string_view whole : split(text, '\n')) {
    const std::string_view line = trim(whole);
    if (line.empty() || line.starts_with('#')) continue;
    const auto name_end = line.find_first_of(" \t=");
    const std::string_view name = line.substr(0, name_end);
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '$';
    });
    if (!named || name_end == std::string_view::npos) {
      settings.push_back({"", std::string(line)});
      continue;
    }
    std::string_view rest = trim(line.substr(name_end));
    if (rest.starts_with('=')) rest = trim(rest.substr(1));
    settings.push_back({setting_name(name), read_value(rest)});
  }
  return settings;
}

std::string render_setting(std::string_view name, std::string_view value) {
  std::string quoted;
  for (const char c : value) {
    if (c == '\n' || c == '\r') {
      // A line break ends the setting, whatever the quotes say.
      quoted += c == '\n' ? "\\n" : "\\r";
      continue;
    }
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return fmt::format("{} = '{}'\n", name, quoted);
}

}  // namespace walback
