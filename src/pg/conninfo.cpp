#include "pg/conninfo.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "pg/connection.h"

namespace walback {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionList = std::unique_ptr<PQconninfoOption, FreeOptions>;

bool may_hold_secret(const std::string& conninfo) {
  return conninfo.find("pass") != std::string::npos || conninfo.find('@') != std::string::npos;
}

bool is_secret(const std::string& name) {
  return name == "password" || name == "sslpassword";
}

bool known_keyword(const std::string& name) {
  const OptionList defaults(PQconndefaults());
  for (const PQconninfoOption* option = defaults.get(); option != nullptr && option->keyword != nullptr;
       ++option) {
    if (name == option->keyword) return true;
  }
  return false;
}

std::string quote(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \t\r\n\f\v'\\=") == std::string::npos;
  if (plain) return value;
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

}  // namespace

Result<Keywords> parse_conninfo(const std::string& conninfo, const std::string& what) {
  char* message = nullptr;
  const OptionList options(PQconninfoParse(conninfo.c_str(), &message));
  const std::unique_ptr<char, decltype(&PQfreemem)> owned_message(message, PQfreemem);
  if (!options) {
    const std::string said =
        message == nullptr || may_hold_secret(conninfo) ? "libpq cannot read it" : std::string(trim(message));
    return fail(
        ErrorKind::config, fmt::format("{} is no valid connection string: {}", what, said),
        "Write it as keyword=value pairs, for example \"host=db1 port=5432 user=walback dbname=postgres\".");
  }
  Keywords keywords;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) keywords.emplace_back(option->keyword, option->val);
  }
  return keywords;
}

std::string keyword(const Keywords& keywords, const std::string& name) {
  for (const auto& [key, value] : keywords) {
    if (key == name) return value;
  }
  return {};
}

void set_keyword(Keywords& keywords, const std::string& name, const std::string& value) {
  for (auto& [key, old] : keywords) {
    if (key == name) {
      old = value;
      return;
    }
  }
  keywords.emplace_back(name, value);
}

std::string render_conninfo(const Keywords& keywords) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : keywords) parts.push_back(key + "=" + quote(value));
  return join(parts, " ");
}

std::vector<Keywords> connection_attempts(const Keywords& keywords) {
  const auto list = [&](const char* name) {
    const std::string value = keyword(keywords, name);
    std::vector<std::string> items;
    if (value.empty()) return items;
    for (const std::string_view item : split(value, ',')) items.emplace_back(item);
    return items;
  };
  const auto hosts = list("host"), addresses = list("hostaddr"), ports = list("port");
  const std::size_t count = std::max(hosts.size(), addresses.size());
  const auto fits = [&](std::size_t size, bool one_for_all) {
    return size == 0 || size == count || (one_for_all && size == 1);
  };
  if (count < 2 || !fits(hosts.size(), false) || !fits(addresses.size(), false) ||
      !fits(ports.size(), true)) {
    return {keywords};
  }
  const bool prefer_standby = keyword(keywords, "target_session_attrs") == "prefer-standby";
  std::vector<Keywords> attempts;
  for (int round = 0; round < (prefer_standby ? 2 : 1); ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      Keywords attempt = keywords;
      if (!hosts.empty()) set_keyword(attempt, "host", hosts[i]);
      if (!addresses.empty()) set_keyword(attempt, "hostaddr", addresses[i]);
      if (ports.size() == count) set_keyword(attempt, "port", ports[i]);
      if (prefer_standby) set_keyword(attempt, "target_session_attrs", round == 0 ? "standby" : "any");
      attempts.push_back(std::move(attempt));
    }
  }
  return attempts;
}

Status check_conninfo(const std::string& conninfo, const std::string& what) {
  const Keywords keywords = TRY(parse_conninfo(conninfo, what));
  for (const auto& [key, value] : keywords) {
    if (!is_secret(key)) continue;
    return fail(
        ErrorKind::config, fmt::format("{} holds a {}, expected none", what, key),
        "Take it out and put it into ~/.pgpass (mode 0600) of the user that runs walback, into a service "
        "file, or into PGPASSWORD: a connection string shows in process lists.");
  }
  return {};
}

Result<std::string> with_keywords(const std::string& base,
                                  const std::vector<std::pair<std::string, std::string>>& keywords) {
  if (const Status checked = check_conninfo(base, "the connection string"); !checked) {
    return tl::unexpected<Error>(checked.error());
  }
  Keywords all = TRY(parse_conninfo(base, "the connection string"));
  for (const auto& [name, value] : keywords) {
    if (is_secret(name) || !known_keyword(name)) {
      return fail(ErrorKind::config, fmt::format("connection keyword '{}' must not be set here", name));
    }
    set_keyword(all, name, value);
  }
  return render_conninfo(all);
}

}  // namespace walback
