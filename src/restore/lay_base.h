#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "config/config.h"
#include "pg/control_data.h"
#include "restore/marker.h"
#include "restore/plan.h"
#include "restore/preloads.h"

namespace walback {

struct BaseInput {
  FileSystem& files;
  Path from;  ///< the base backup
  const RestoredLayout& layout;
  const RestorePlan& plan;
  const ControlData& control;
  const Binaries& binaries;
  const Config::Restore& config;
  Path fetch_program;
  std::uint16_t port = 0;
  const std::vector<RestoredTablespace>& tablespaces;
  const std::vector<Preload>& missing_libraries;
};

/// Copies the base backup into place with all cores and sets it up for recovery: its tablespaces with new
/// links, our settings, the quarantine, the recovery target, walback-fetch as restore_command. Returns the
/// settings of the base that were not taken over. Nothing is made durable: that is for the end.
[[nodiscard]] Result<std::vector<std::string>> lay_base(const BaseInput& input, Progress& progress,
                                                        std::stop_token stop);

/// Claims the tablespaces' directories, copies the base's into theirs and writes the links. The data
/// directory is there, without any link in pg_tblspc.
[[nodiscard]] Status lay_tablespaces(const BaseInput& input, const CopyTreeOptions& options);

/// What PostgreSQL runs for each file: `'<walback-fetch>' '<spool>' '%f' '%p'`, quoted for sh.
[[nodiscard]] std::string restore_command(const Path& fetch_program, const Path& spool);

}  // namespace walback
