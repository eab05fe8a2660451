#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/rows.h"
#include "restore/finish.h"
#include "restore/marker.h"

/// Restored clusters after their restore: started, stopped, promoted, removed. Each is known by the mark in
/// its data directory; nothing without one is touched.
namespace walback {

struct ClusterSetup {
  FileSystem& files;
  Clock& clock;
  Path configured_bin;
  std::vector<std::string> superusers;
  std::vector<std::string> hba;
};

/// What the journal says of a restore, corrected by what is there: one whose process was killed is not
/// running, and was never told to have failed.
[[nodiscard]] RestoreRow as_it_is(FileSystem& files, RestoreRow row);

enum class ClusterCondition : std::uint8_t { running, stopped, absent };
[[nodiscard]] std::string_view name_of(ClusterCondition condition);
/// Of a data directory; absent where it holds no mark of ours.
[[nodiscard]] ClusterCondition cluster_condition(FileSystem& files, const Path& data_directory);

/// Waits until it answers. Running already is success. Returns how to connect.
[[nodiscard]] Result<std::string> start_cluster(const ClusterSetup& setup, const Path& data_directory,
                                                std::stop_token stop);
[[nodiscard]] Status stop_cluster(const ClusterSetup& setup, const Path& data_directory);
/// A paused one, through the same finishing code as a restore; again after a promotion that was cut short,
/// while its server still runs. Not paused: conflict. The proof is returned whether it holds or not.
[[nodiscard]] Result<Proof> promote_cluster(const ClusterSetup& setup, const Path& data_directory,
                                            std::stop_token stop);
/// Stops it and removes its directory. Only what carries our mark is removed, and nothing that a restore
/// works on (conflict).
[[nodiscard]] Status remove_cluster(const ClusterSetup& setup, const Path& data_directory);

}  // namespace walback
