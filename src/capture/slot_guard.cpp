#include "capture/slot_guard.h"

#include <fmt/format.h>

#include <memory>

#include "pg/server.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kLookTimeout{5'000};

struct Watcher {
  std::string conninfo, slot;
  std::optional<Connection> connection;
  std::optional<std::uint64_t> system_identifier;

  Result<PrimaryView> look() {
    auto view = try_look();
    if (!view) connection.reset();
    return view;
  }

  Result<PrimaryView> try_look() {
    if (!connection) {
      system_identifier.reset();
      ConnectionOptions options;
      options.application_name = "walback_capture_watch";
      options.connect_timeout = kLookTimeout;
      options.statement_timeout = kLookTimeout;
      connection = TRY(Connection::open(conninfo, options));
    }
    PrimaryView view;
    // Once a connection: the server behind it cannot become another cluster.
    if (!system_identifier) system_identifier = TRY(server_identity(*connection)).system_identifier;
    view.system_identifier = *system_identifier;
    view.slot = TRY(find_slot(*connection, slot));
    // The flush LSN before the receiver's: so a receiver is never called behind for WAL that is newer than
    // the look at it.
    view.flush_lsn = TRY(wal_positions(*connection)).flush;
    for (const auto& client : TRY(replication_clients(*connection))) {
      if (client.slot == slot) view.sender = {client.pid, client.write_lsn, client.flush_lsn};
    }
    return view;
  }
};

std::string from_there(const GuardedArchive& archive) {
  return archive.newest_lsn ? fmt::format("from {} on", to_string(*archive.newest_lsn))
                            : std::string("from its beginning on");
}

std::string next_epoch_hint(const GuardedArchive& archive) {
  const auto next = ArchiveLayout{archive.root}.epoch(archive.epoch + 1);
  return fmt::format(
      "make the empty directory '{}' (the WAL behind the gap goes there), start walback capture again, then "
      "take "
      "a base backup with walback backup. Moments between the end of what is held and that backup stay out "
      "of "
      "reach.",
      next.string());
}

}  // namespace

LookAtPrimary look_at_primary(const std::string& conninfo, const std::string& slot) {
  auto watcher = std::make_shared<Watcher>(Watcher{conninfo, slot, std::nullopt, std::nullopt});
  return [watcher] { return watcher->look(); };
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
  if (!view.slot) {
    return fail(
        ErrorKind::not_found,
        fmt::format("replication slot '{}' does not exist on the primary: WAL {} is not kept for archive "
                    "'{}'",
                    archive.slot, from_there(archive), archive.root.string()),
        "Was it dropped, or did a standby without it become the primary? walback never creates it again "
        "by itself, because that would hide what is missing. Run walback init to create it, start walback "
        "capture again, then take a base backup with walback backup.");
  }
  if (view.slot->wal_status == SlotWalStatus::lost) {
    return fail(
        ErrorKind::conflict,
        fmt::format("replication slot '{}' was invalidated (wal_status lost): the primary removed WAL {} "
                    "that archive '{}' does not hold",
                    archive.slot, from_there(archive), archive.root.string()),
        "Raise max_slot_wal_keep_size on the primary so that it does not happen again. Drop the slot, run "
        "walback init to create it, " +
            next_epoch_hint(archive));
  }
  if (!view.slot->restart_lsn) {
    return fail(
        ErrorKind::conflict,
        fmt::format("replication slot '{}' reserves no WAL on the primary: WAL {} is not kept for archive "
                    "'{}'",
                    archive.slot, from_there(archive), archive.root.string()),
        "It was created without immediately_reserve. Drop it and run walback init, which creates it with "
        "its WAL reserved.");
  }
  return {};
}

Error wal_removed_error(const GuardedArchive& archive, const std::string& line) {
  return {ErrorKind::conflict,
          fmt::format("the primary removed WAL {} that archive '{}' does not hold: {}", from_there(archive),
                      archive.root.string(), line),
          "Was the slot created anew, or did something else stream through it? To go on behind the gap " +
              next_epoch_hint(archive)};
}

Error not_in_history_error(const GuardedArchive& archive, const std::string& line) {
  return {ErrorKind::conflict,
          fmt::format("the primary's history forked before what archive '{}' holds: {}",
                      archive.root.string(), line),
          "Did a standby become the primary that had not received the newest WAL? What is held stays as it "
          "is. To "
          "go on with the new primary " +
              next_epoch_hint(archive)};
}

}  // namespace walback
