#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace walback {

using Keywords = std::vector<std::pair<std::string, std::string>>;

/// The keywords that a conninfo string or URI sets itself: neither the environment nor a service file is
/// read. What cannot be parsed is `config`; the error repeats nothing of a string that may hold a password.
[[nodiscard]] Result<Keywords> parse_conninfo(const std::string& conninfo, const std::string& what);

[[nodiscard]] std::string keyword(const Keywords& keywords, const std::string& name);  ///< "" when not set
void set_keyword(Keywords& keywords, const std::string& name, const std::string& value);

/// `keyword=value …`, quoted as libpq wants it.
[[nodiscard]] std::string render_conninfo(const Keywords& keywords);

/// One attempt per host named. libpq's asynchronous connect has no time-out of its own, so a paused first
/// host would keep it from ever asking the second; we ask them one by one instead. prefer-standby becomes two
/// rounds, as in libpq. Lists whose lengths do not fit are left for libpq to refuse.
[[nodiscard]] std::vector<Keywords> connection_attempts(const Keywords& keywords);

}  // namespace walback
