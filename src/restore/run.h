#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/result.h"
#include "config/config.h"
#include "restore/place.h"
#include "restore/plan.h"
#include "restore/proof.h"

/// Carries a plan out.
///
/// Lays the base down, feeds WAL through walback-fetch, lets PostgreSQL pause at the stop, holds what it
/// reached against the plan, promotes, makes the copy durable and writes the proof. The archive is only read.
/// Whatever goes wrong, no server is left running, and the directory is marked as ours and unfinished: the
/// next restore into it wipes it and begins again.
namespace walback {

struct RestoreSetup {
  FileSystem& files;
  Clock& clock;
  Log& log;
  ArchiveLayout archive;
  Config::Restore config;
  Path configured_bin;
  Path fetch_program;  ///< walback-fetch; copied into the cluster, so that it is there when needed
  std::vector<std::string> superusers;  ///< roles to try, in this order
  RestorePlan plan;                     ///< its stop settled (expected_end known)
  /// CRC-32C of a finished segment's file as it was indexed; nothing: not known.
  std::function<std::optional<std::uint32_t>(const PlannedSegment&)> checksum_of;
  /// Told of a segment whose bytes are not those that were indexed, so that the next plan knows. Called from
  /// another thread.
  std::function<void(const PlannedSegment&, const std::string& problem)> on_damage;
  /// Told that the base backup's bytes are not those of its manifest.
  std::function<void(const std::string& problem)> on_backup_damage;
  std::string name;
  Place place;
  bool pause = false;        ///< stay at the stop, read-only, for `clusters promote` later
  bool check_pages = false;  ///< pg_checksums over the copy before it is handed over
  std::function<void(const std::string&)> say;
};

/// The proof is returned whether it holds or not: `proof.holds()` is for the caller to turn into a mismatch.
[[nodiscard]] Result<Proof> run_restore(const RestoreSetup& setup, Progress& progress, std::stop_token stop);

}  // namespace walback
