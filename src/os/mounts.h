#pragma once
#include "os/file_system.h"

namespace walback {

/// Both are there, and on one file system. What cannot be looked at counts as the same: then two demands for
/// room are added up.
[[nodiscard]] bool same_file_system(const Path& one, const Path& other);

}  // namespace walback
