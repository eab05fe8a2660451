#pragma once
#include <cstdint>
#include <string>

#include "os/file_system.h"

namespace walback {

/// The one place where errno becomes an Error: "cannot <action> '<path>': <the system's words>". The kinds
/// are FileSystem's; disk_full and a denied access get a hint.
[[nodiscard]] tl::unexpected<Error> system_error(const std::string& action, const Path& path, int number);
/// The same for calls that are about no path: "cannot <action>: …".
[[nodiscard]] tl::unexpected<Error> system_error(const std::string& action, int number);

/// What read() says about a file above its limit.
[[nodiscard]] tl::unexpected<Error> file_too_large(const Path& path, std::uint64_t limit_bytes);

}  // namespace walback
