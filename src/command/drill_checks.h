#pragma once
#include <stop_token>
#include <string>

#include "base/progress.h"
#include "pg/binaries.h"
#include "restore/restored_server.h"

namespace walback {

struct AmcheckOptions {
  Binaries binaries;
  bool heapallindexed = false;  ///< also: is every row in every index? Reads far more
  unsigned jobs = 1;
};

/// Refuses, before anything is restored, where pg_amcheck or the extension behind it is not installed here.
[[nodiscard]] Status check_amcheck_is_here(FileSystem& files, const Binaries& binaries);

/// pg_amcheck over all databases of a restored cluster, that let somebody in; the extension is created in the
/// copy where it is missing. Returns what was checked, in words. corrupt: what it found.
[[nodiscard]] Result<std::string> run_amcheck(RestoredServer& server,
                                              const std::vector<std::string>& superusers,
                                              const std::string& socket_directory, std::uint16_t port,
                                              const AmcheckOptions& options, std::stop_token stop);

}  // namespace walback
