#include "catalog/database.h"

#include <fmt/format.h>

#include <cerrno>

namespace walback {
namespace {

/// The longest write of ours is the intake of one segment, well below a second.
constexpr int kBusyTimeoutMs = 10'000;

}  // namespace

std::string rebuild_hint() {
  return "`walback reindex` builds the catalog again from WAL, base backups and journal.";
}

Status storable(std::initializer_list<Lsn> positions) {
  for (const Lsn lsn : positions) {
    if (std::in_range<std::int64_t>(lsn.value)) continue;
    return fail(ErrorKind::corrupt,
                fmt::format("LSN {} is beyond what a server can reach, expected less than 80000000/0",
                            to_string(lsn)),
                "The WAL that names it is damaged.");
  }
  return {};
}

// --- Statement

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), sql_(other.sql_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  rewind();
  database_->idle_[sql_].push_back(statement_);
}

void Statement::rewind() {
  sqlite3_reset(statement_);  // repeats the error that step() has reported
  sqlite3_clear_bindings(statement_);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->failure();
}

Status Statement::run() {
  while (TRY(step())) {
  }
  return {};
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
  return std::string(blob(column));
}

std::string_view Statement::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return {bytes == nullptr ? "" : bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

// Binding fails only for a wrong index or a string beyond SQLite's limit; both surface as an error of the
// step, which then lacks a NOT NULL value.
void Statement::bind_integer(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
}
void Statement::bind_text(int index, std::string_view value) {
  sqlite3_bind_text64(statement_, index, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
}
void Statement::bind_null(int index) {
  sqlite3_bind_null(statement_, index);
}
void Statement::bind_blob(int index, std::string_view bytes) {
  sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC);
}

// --- Database

Result<std::unique_ptr<Database>> Database::open(const Path& path, Access access) {
  std::unique_ptr<Database> database(new Database(path));
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
      (access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (sqlite3_open_v2(path.c_str(), &database->connection_, flags, nullptr) != SQLITE_OK)
    return database->failure();
  sqlite3_busy_timeout(database->connection_, kBusyTimeoutMs);
  return database;
}

Database::~Database() {
  for (auto& [sql, statements] : idle_) {
    for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
  }
  sqlite3_close(connection_);
}

Result<Statement> Database::statement(std::string_view sql) {
  auto& idle = idle_[sql];
  if (!idle.empty()) {
    sqlite3_stmt* statement = idle.back();
    idle.pop_back();
    return Statement(*this, sql, statement);
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &statement, nullptr) != SQLITE_OK) {
    return failure();
  }
  return Statement(*this, sql, statement);
}

Status Database::execute(const char* sql) {
  if (sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure();
  return {};
}

Status Database::framed(const char* begin, const char* commit, const char* rollback,
                        const std::function<Status()>& work) {
  TRY(execute(begin));
  Status status = work();
  if (status) status = execute(commit);
  // A full disk or a damaged page may have rolled the transaction back already.
  if (!status && sqlite3_get_autocommit(connection_) == 0)
    sqlite3_exec(connection_, rollback, nullptr, nullptr, nullptr);
  return status;
}

Status Database::atomically(const std::function<Status()>& work) {
  if (sqlite3_get_autocommit(connection_) != 0) {
    // IMMEDIATE: the wait for another writer is here, where nothing has been read yet that could be stale.
    return framed("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", work);
  }
  return framed("SAVEPOINT inner_work", "RELEASE inner_work", "ROLLBACK TO inner_work; RELEASE inner_work",
                work);
}

Status Database::consistently(const std::function<Status()>& work) {
  if (sqlite3_get_autocommit(connection_) == 0) return work();
  return framed("BEGIN", "COMMIT", "ROLLBACK", work);
}

tl::unexpected<Error> Database::failure() const {
  const int code = connection_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(connection_);
  const std::string words = connection_ == nullptr ? "out of memory" : sqlite3_errmsg(connection_);
  const std::string name = path_.string();
  // The shared memory beside the file is no page of it: for want of room there SQLite says "disk I/O error".
  const bool no_room = (code & 0xFF) == SQLITE_IOERR && sqlite3_system_errno(connection_) == ENOSPC;
  switch (no_room ? SQLITE_FULL : code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(ErrorKind::corrupt, fmt::format("the catalog {} is damaged: {}", name, words),
                  rebuild_hint());
    case SQLITE_FULL:
      return fail(ErrorKind::disk_full, fmt::format("no room left for the catalog {}", name),
                  "Make room on its file system; nothing is lost, the write is repeated.");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorKind::unavailable,
                  fmt::format("another process has been writing to the catalog {} for {} s", name,
                              kBusyTimeoutMs / 1000),
                  "Try again; `fuser` names the process that has the file open.");
    case SQLITE_CANTOPEN:
      return fail(ErrorKind::not_found, fmt::format("the catalog {} cannot be opened: {}", name, words),
                  "`walback manage` makes it, and `walback reindex`, from WAL, base backups and journal; its "
                  "directory must "
                  "exist and belong to the user that runs walback.");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return fail(ErrorKind::conflict, fmt::format("the catalog {} cannot be written: {}", name, words),
                  "It must belong to the user that runs walback.");
    default:
      return fail(ErrorKind::internal,
                  fmt::format("the catalog {} failed: {} (SQLite code {})", name, words, code));
  }
}

}  // namespace walback
