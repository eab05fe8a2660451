#include "config/conninfo_password.h"

#include <string_view>

#include "base/text.h"

namespace walback {
namespace {

bool is_password(std::string_view keyword) {
  return keyword == "password" || keyword == "sslpassword";
}

bool uri_holds_password(std::string_view rest) {
  const auto end = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, end);
  // A password with a slash in it moves the '@' behind the first slash; libpq finds it there.
  const auto at = authority.find('@') != std::string_view::npos ? authority.find('@') : rest.find('@');
  const std::string_view user = at == std::string_view::npos ? std::string_view{} : rest.substr(0, at);
  if (user.find(':') != std::string_view::npos) return true;
  const auto query = rest.find('?');
  if (query == std::string_view::npos) return false;
  for (const std::string_view pair : split(rest.substr(query + 1), '&')) {
    if (is_password(pair.substr(0, pair.find('=')))) return true;
  }
  return false;
}

/// Past one value: bare up to a blank, or in single quotes; a backslash takes the next character as it is.
std::string_view skip_value(std::string_view text) {
  const bool quoted = text.starts_with('\'');
  if (quoted) text.remove_prefix(1);
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '\\' && !text.empty()) {
      text.remove_prefix(1);
    } else if (quoted ? c == '\'' : c == ' ' || c == '\t' || c == '\n') {
      return text;
    }
  }
  return text;
}

}  // namespace

bool holds_password(const std::string& conninfo) {
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (conninfo.starts_with(scheme)) {
      return uri_holds_password(std::string_view(conninfo).substr(scheme.size()));
    }
  }
  std::string_view rest = conninfo;
  while (true) {
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) return false;
    if (is_password(trim(rest.substr(0, equals)))) return true;
    rest.remove_prefix(equals + 1);
    const auto value = rest.find_first_not_of(" \t\n");
    if (value == std::string_view::npos) return false;
    rest = skip_value(rest.substr(value));
  }
}

}  // namespace walback
