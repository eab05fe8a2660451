#include "command/checklist.h"

#include <fmt/format.h>

namespace walback {

void Checklist::add(Severity severity, std::string subject, std::string text, std::string mend) {
  found.push_back({severity, std::move(subject), std::move(text), std::move(mend)});
}

void Checklist::good(std::string subject, std::string text) {
  add(Severity::good, std::move(subject), std::move(text));
}

std::string Checklist::psql_on(const std::string& conninfo, const std::vector<std::string>& statements) {
  std::string text = "psql \"" + conninfo + "\"";
  for (const std::string& statement : statements) text += " -c \"" + statement + "\"";
  return text;
}

std::string Checklist::psql(const std::vector<std::string>& statements) const {
  return psql_on(in.followed_conninfo.empty() ? in.config.primary.conninfo : in.followed_conninfo,
                 statements);
}

std::string Checklist::walback(const std::string& command) const {
  return in.config.file.empty() ? "walback " + command
                                : fmt::format("walback -c {} {}", in.config.file.string(), command);
}

std::string Checklist::setting(const std::string& name) const {
  const auto found_setting = in.settings.find(name);
  return found_setting == in.settings.end() ? "" : found_setting->second.value;
}

std::string sql_name(const std::string& name) {
  const bool bare = !name.empty() &&
                    name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
                    (name[0] < '0' || name[0] > '9');
  if (bare) return name;
  std::string text = "\\\"";
  for (const char c : name) text += c == '"' ? std::string("\\\"\\\"") : std::string(1, c);
  return text + "\\\"";
}

}  // namespace walback
