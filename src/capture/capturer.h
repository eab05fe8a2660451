#pragma once
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "capture/follow_primary.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "os/process.h"

namespace walback {

/// What a capturer works with. It needs the network and one directory; it never opens the catalog.
struct CaptureSetup {
  ArchiveLayout archive;
  std::string conninfo;  ///< of every host that may be the primary, without a password
  std::string slot;
  Path pg_receivewal;
  bool synchronous = true;
  std::chrono::milliseconds restart_min{500};
  std::chrono::milliseconds restart_max{15'000};
  FileSystem& files;
  Processes& processes;
  Clock& clock;
  Log& log;
  LookAtPrimary look = {};  ///< empty: the real one
  std::chrono::milliseconds look_interval{1'000};
  unsigned reserve_mb = 0;  ///< room below which it pauses; 0: see reserve_bytes()
};

/// Captures the primary's WAL into the newest epoch, in the foreground, until `stop` is requested (success)
/// or a person is needed (the error, which is logged and stands in capture.status as well).
///
/// Ends by itself only for: another capturer on this archive (conflict), an archive without or with a damaged
/// identity, another cluster behind the conninfo (foreign_system), a slot that vanished (not_found) or was
/// invalidated, and WAL that the primary no longer has (conflict). It does not wait on in these cases: what
/// starts it (walback run, systemd) shows its end, and starts it again at its own pace.
/// Everything else is waited out: a dead or silent primary, a dead network, a full disk, a held slot, a
/// pg_receivewal that was killed or hangs. pg_receivewal is not started before the primary was seen to be the
/// right one, since it would write the WAL of any cluster that it is led to, and it gets the conninfo of that
/// one host, so that it cannot wander.
///
/// A failover is followed: the host that is not in recovery, on the newest timeline that descends from what
/// is held (pg/choose_primary.h). Where its history forked before the end of the newest epoch, the next one
/// is opened, with a line in the journal; nothing of the old one is touched. Hosts on a timeline that was
/// left, or that does not descend from ours, are refused: a WARN while another one is the primary, the end of
/// the capturer (conflict) when none is.
///
/// Killed with -9 it leaves nothing to clean up: the lock is freed, pg_receivewal ends with it, and the next
/// start resumes in the same files. Nothing in an epoch is ever deleted, moved or truncated.
/// Call it from a thread that outlives the capture: pg_receivewal is tied to it.
[[nodiscard]] Status run_capturer(const CaptureSetup& setup, std::stop_token stop);

}  // namespace walback
