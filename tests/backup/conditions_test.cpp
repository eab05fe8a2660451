#include <doctest/doctest.h>

#include "backup/base_backup.h"

using namespace walback;

namespace {

BackupConditions healthy() {
  BackupConditions conditions;
  conditions.server.system_identifier = 7299402;
  conditions.server.server_version_num = 150020;
  ReplicationSlot slot;
  slot.restart_lsn = Lsn{0x1000000};
  slot.wal_status = SlotWalStatus::reserved;
  conditions.slot = slot;
  conditions.cluster_bytes = 1U << 30;
  conditions.available_bytes = 2ULL << 30;
  return conditions;
}

Status judged(const BackupConditions& conditions) {
  return may_back_up(conditions, {7299402, *SegmentSize::from_bytes(16U << 20)}, "/archive", "walback", 15);
}

}  // namespace

TEST_CASE(
    "before a backup: a healthy primary may be backed up, its size known or not, captured this moment or "
    "not") {
  auto conditions = healthy();
  CHECK(judged(conditions));
  conditions.cluster_bytes.reset();
  conditions.available_bytes = 0;
  CHECK(judged(conditions));
}

TEST_CASE("before a backup: slot first, backup second") {
  auto conditions = healthy();
  conditions.slot.reset();
  CHECK(judged(conditions).error() ==
        Error{ErrorKind::not_found,
              "replication slot 'walback' does not exist on the primary: the WAL of a base backup taken now "
              "would not "
              "be kept",
              "Run walback init to create it and start walback capture: slot first, base backup second."});
  conditions = healthy();
  conditions.slot->wal_status = SlotWalStatus::lost;
  conditions.slot->restart_lsn.reset();
  CHECK(judged(conditions).error() == Error{ErrorKind::conflict,
                                            "replication slot 'walback' was invalidated (wal_status lost) on "
                                            "the primary: the WAL of a base backup "
                                            "taken now would not be kept",
                                            "Drop it, run walback init to create it with its WAL reserved, "
                                            "and start walback capture, which says "
                                            "what is lost and how to go on."});
  conditions.slot->wal_status = SlotWalStatus::none;
  CHECK(judged(conditions).error().message ==
        "replication slot 'walback' reserves no WAL on the primary: the WAL of a base backup taken now would "
        "not be "
        "kept");
}

TEST_CASE("before a backup: another cluster, a standby, another major version") {
  auto conditions = healthy();
  conditions.server.system_identifier = 1;
  CHECK(judged(conditions).error().kind == ErrorKind::foreign_system);
  CHECK(judged(conditions).error().message ==
        "the primary carries system identifier 1, archive '/archive' expects 7299402");
  conditions = healthy();
  conditions.server.in_recovery = true;
  CHECK(judged(conditions).error() ==
        Error{ErrorKind::conflict, "primary.conninfo leads to a standby, expected the primary",
              "Base backups are taken from the server whose WAL is captured: correct primary.conninfo."});
  conditions = healthy();
  conditions.server.server_version_num = 170011;
  CHECK(judged(conditions).error() ==
        Error{ErrorKind::conflict, "pg_basebackup is of version 15, the primary of version 17",
              "Install postgresql-17 on this machine, or let postgres.bin name its directory."});
}

TEST_CASE("before a backup: no room is said before the disk is full") {
  auto conditions = healthy();
  conditions.available_bytes = 512U << 20;
  CHECK(judged(conditions).error() == Error{ErrorKind::disk_full,
                                            "the cluster has 1 GB, the archive's file system has 512 MB left",
                                            "Make room there, or put the archive on a larger file system. "
                                            "WAL is captured to the same place: leave "
                                            "room for it too."});
}
