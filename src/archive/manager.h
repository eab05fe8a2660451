#pragma once
#include <stop_token>

#include "archive/archive_context.h"
#include "base/result.h"
#include "config/config.h"

namespace walback {

struct ManagerSetup {
  const Config& config;
  ArchiveContext archive;
  ListBackups backups;
};

/// The WAL manager (docs/design.md, steps 3 to 7), in the foreground until a stop is requested: then it ends
/// with success.
///
/// Intake runs in this thread and touches nothing but the disk. Whatever talks to the primary (watermarks,
/// the mirror) runs in a second thread with its own connections and time-outs: a hung primary delays no
/// intake.
/// What does not end it: no primary, no capturer, a damaged segment, a full disk, a failing catalog. Each is
/// said, retried with back-off (kRetryMax), and shown in manage.status until it is over.
/// What does: another manager on this archive (`conflict`), no archive there (not_found), a catalog of a
/// newer walback (`conflict`).
[[nodiscard]] Status run_manager(const ManagerSetup& setup, std::stop_token stop);

}  // namespace walback
