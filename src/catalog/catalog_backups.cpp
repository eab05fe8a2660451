#include "base/json.h"
#include "catalog/catalog_impl.h"

// Base backups and restored clusters.

#define RESTORE_COLUMNS \
  "name, directory, port, state, started_at_us, finished_at_us, target, plan, proof, error"

namespace walback {
namespace {

using namespace catalog_read;

auto backup_reader(const Database& database) {
  return [&database](const Statement& row) -> Result<BackupRow> {
    BackupRow backup{row.text(0),
                     timeline(row, 1),
                     lsn(row, 2),
                     lsn(row, 3),
                     lsn(row, 4),
                     time(row, 5),
                     time(row, 6),
                     static_cast<std::uint64_t>(row.integer(7)),
                     static_cast<std::uint32_t>(row.integer(8)),
                     {},
                     row.text(10)};
    const auto tablespaces = parse_json(row.text(9), "a base backup's tablespaces");
    if (!tablespaces || !tablespaces->is_array())
      return unknown_word(database, "list of tablespaces", row.text(9));
    for (const Json& tablespace : *tablespaces) {
      if (!tablespace.is_string()) return unknown_word(database, "list of tablespaces", row.text(9));
      backup.tablespaces.push_back(tablespace.get<std::string>());
    }
    return backup;
  };
}

auto restore_reader(const Database& database) {
  return [&database](const Statement& row) -> Result<RestoreRow> {
    const auto state = restore_state_named(row.text(3));
    if (!state) return unknown_word(database, "state of a restore", row.text(3));
    return RestoreRow{row.text(0), row.text(1),  static_cast<std::uint16_t>(row.integer(2)),
                      *state,      time(row, 4), maybe(row, 5, time(row, 5)),
                      row.text(6), row.text(7),  row.text(8),
                      row.text(9)};
  };
}

}  // namespace

Status Catalog::put_backup(const BackupRow& backup) {
  TRY(storable({backup.start_lsn, backup.checkpoint_lsn, backup.stop_lsn}));
  Statement statement = TRY(impl_->database->statement(
      "INSERT OR REPLACE INTO backups (id, timeline, start_lsn, checkpoint_lsn, stop_lsn, started_at_us, "
      "finished_at_us, size_bytes, server_version_num, tablespaces, problem) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return statement
      .bind(backup.id, backup.timeline, backup.start_lsn, backup.checkpoint_lsn, backup.stop_lsn,
            backup.started_at, backup.finished_at, backup.size_bytes, backup.server_version_num,
            to_line(Json(backup.tablespaces)), backup.problem)
      .run();
}

Status Catalog::remove_backup(const std::string& id) {
  Statement statement = TRY(impl_->database->statement("DELETE FROM backups WHERE id = ?"));
  return statement.bind(id).run();
}

Result<std::vector<BackupRow>> Catalog::backups() const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT id, timeline, start_lsn, checkpoint_lsn, stop_lsn, started_at_us, finished_at_us, size_bytes, "
      "server_version_num, tablespaces, problem FROM backups ORDER BY timeline, start_lsn, id"));
  return all<BackupRow>(statement, backup_reader(*impl_->database));
}

Status Catalog::put_restore(const RestoreRow& restore) {
  Statement statement = TRY(impl_->database->statement("INSERT OR REPLACE INTO restores (" RESTORE_COLUMNS
                                                       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return statement
      .bind(restore.name, restore.directory, restore.port, name_of(restore.state), restore.started_at,
            restore.finished_at, restore.target, restore.plan, restore.proof, restore.error)
      .run();
}

Result<std::vector<RestoreRow>> Catalog::restores() const {
  Statement statement = TRY(impl_->database->statement("SELECT " RESTORE_COLUMNS
                                                       " FROM restores ORDER BY started_at_us DESC, name"));
  return all<RestoreRow>(statement, restore_reader(*impl_->database));
}

Result<std::optional<RestoreRow>> Catalog::restore(const std::string& name) const {
  Statement statement =
      TRY(impl_->database->statement("SELECT " RESTORE_COLUMNS " FROM restores WHERE name = ?"));
  statement.bind(name);
  return first<RestoreRow>(statement, restore_reader(*impl_->database));
}

}  // namespace walback
