#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "pg/binaries.h"

namespace walback {

/// A setting that the server will not start with, in its own words: 'invalid value for parameter
/// "lc_messages": "de_DE.UTF-8"'.
struct RefusedSetting {
  std::string name;
  std::string why;
  bool operator==(const RefusedSetting&) const = default;
};

/// Out of what `postgres -C` says: the lines that name a setting.
[[nodiscard]] std::vector<RefusedSetting> parse_refusals(std::string_view said);

/// Asks the server's own program to read the configuration of a data directory. Whether this host has a
/// locale, a time zone or a way to compress is known to it alone. Empty: it would start. A refusal that names
/// no setting is an error (conflict).
[[nodiscard]] Result<std::vector<RefusedSetting>> refused_settings(const Binaries& binaries,
                                                                   const Path& data);

}  // namespace walback
