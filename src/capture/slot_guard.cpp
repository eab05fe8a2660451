#include "capture/slot_guard.h"

#include <fmt/format.h>

#include "pg/server.h"
#include "pg/wal_directory_queries.h"

namespace walback {
namespace {

std::string from_there(const GuardedArchive& archive) {
  return archive.newest_lsn ? fmt::format("from {} on", to_string(*archive.newest_lsn))
                            : std::string("from its beginning on");
}

constexpr const char* kAcceptGapHint =
    "walback capture --accept-gap shows what is lost, makes the slot anew and lets capture go on behind the "
    "gap; "
    "then take a base backup with walback backup.";

}  // namespace

Status ask_about_wal(Connection& connection, const std::string& slot, PrimaryView& view) {
  view.slot = TRY(find_slot(connection, slot));
  // The flush LSN before the receiver's: so a receiver is never called behind for WAL that is newer than the
  // look at it.
  view.flush_lsn = TRY(wal_positions(connection)).flush;
  for (const ReplicationClient& client : TRY(replication_clients(connection))) {
    if (client.slot == slot)
      view.sender = {client.pid, client.write_lsn, client.flush_lsn, client.application_name,
                     client.reply_time};
  }
  if (!view.slot || !view.slot->active) view.oldest_wal_file = TRY(oldest_wal_file(connection));
  return {};
}

Status guard_slot(const PrimaryView& view, const GuardedArchive& archive) {
  if (view.system_identifier != archive.identity.system_identifier) {
    return fail(
        ErrorKind::foreign_system,
        fmt::format("the primary carries system identifier {}, archive '{}' expects {}",
                    view.system_identifier, archive.root.string(), archive.identity.system_identifier),
        "Was the primary re-initialised or the connection string changed? An archive never mixes two "
        "clusters: begin a new one with walback init --archive.");
  }
  TRY(refuse_older_copy(view.history.timeline, view.flush_lsn, archive));
  if (!view.slot) {
    return fail(
        ErrorKind::not_found,
        fmt::format("replication slot '{}' does not exist on the primary: WAL {} is not kept for archive "
                    "'{}'",
                    archive.slot, from_there(archive), archive.root.string()),
        std::string(
            "Was it dropped, or did a standby without it become the primary? walback never creates it "
            "again by itself, because that would hide what is missing: ") +
            kAcceptGapHint);
  }
  if (view.slot->wal_status == SlotWalStatus::lost) {
    return fail(
        ErrorKind::conflict,
        fmt::format("replication slot '{}' was invalidated (wal_status lost): the primary removed WAL {} "
                    "that archive '{}' does not hold",
                    archive.slot, from_there(archive), archive.root.string()),
        std::string("Raise max_slot_wal_keep_size on the primary so that it does not happen again; ") +
            kAcceptGapHint);
  }
  if (!view.slot->restart_lsn) {
    return fail(
        ErrorKind::conflict,
        fmt::format("replication slot '{}' reserves no WAL on the primary: WAL {} is not kept for archive "
                    "'{}'",
                    archive.slot, from_there(archive), archive.root.string()),
        std::string("It was created without immediately_reserve; ") + kAcceptGapHint);
  }
  if (next_wal_is_gone(view.oldest_wal_file, archive))
    return tl::unexpected(wal_removed_error(archive, "its oldest segment is " + *view.oldest_wal_file));
  return {};
}

bool next_wal_is_gone(const std::optional<std::string>& oldest_wal_file, const GuardedArchive& archive) {
  const SegmentSize size = archive.identity.segment_size;
  if (!oldest_wal_file || !archive.newest_lsn) return false;
  const auto oldest = parse_wal_file_name(*oldest_wal_file, size);
  return oldest && segment_of(*archive.newest_lsn, size) < oldest->number;
}

Status refuse_older_copy(TimelineId timeline, Lsn flush_lsn, const GuardedArchive& archive) {
  if (!archive.newest_lsn || archive.newest_timeline != timeline || flush_lsn >= *archive.newest_lsn)
    return {};
  return fail(
      ErrorKind::conflict,
      fmt::format(
          "the primary stands at {} on timeline {}, archive '{}' holds WAL of that timeline up to {}: "
          "it is an older copy of the primary",
          to_string(flush_lsn), timeline.value, archive.root.string(), to_string(*archive.newest_lsn)),
      kOlderCopyHint);
}

Error wal_removed_error(const GuardedArchive& archive, const std::string& line) {
  return {ErrorKind::conflict,
          fmt::format("the primary removed WAL {} that archive '{}' does not hold: {}", from_there(archive),
                      archive.root.string(), line),
          std::string("Was the slot created anew, or did something else stream through it? ") +
              "Go on behind the gap: " + kAcceptGapHint};
}

Error not_in_history_error(const GuardedArchive& archive, const std::string& line) {
  return {ErrorKind::conflict,
          fmt::format("the primary's history forked before what archive '{}' holds: {}",
                      archive.root.string(), line),
          "Did a standby become the primary that had not received the newest WAL? What is held stays as it "
          "is. Begin a new archive for the new history with walback init --archive."};
}

}  // namespace walback
