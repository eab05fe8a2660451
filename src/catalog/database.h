#pragma once
#include <sqlite3.h>

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "os/file_system.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// SQLite as values: a connection with its cache of prepared statements. Private to catalog/.
namespace walback {

class Database;

/// A prepared statement in use; handed back to the cache when it goes. The same text may be in use twice at
/// once (a visit that asks again): each gets a statement of its own.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  /// Binds all parameters, in order, from the first. std::nullopt is NULL.
  template <class... T>
  Statement& bind(const T&... values) {
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }
  /// The bytes must live until the statement has run.
  void bind_blob(int index, std::string_view bytes);
  /// True: a row. False: done.
  [[nodiscard]] Result<bool> step();
  /// For statements that yield no row.
  [[nodiscard]] Status run();
  /// Makes it ready for the next values.
  void rewind();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::string_view blob(int column) const;  ///< until the next step
  [[nodiscard]] bool null(int column) const;

 private:
  friend class Database;
  Statement(Database& database, std::string_view sql, sqlite3_stmt* statement)
      : database_(&database), sql_(sql), statement_(statement) {}

  void bind_integer(int index, std::int64_t value);
  void bind_text(int index, std::string_view value);
  void bind_null(int index);

  template <std::integral T>
  void bind_one(int index, T value) {
    // Beyond 2^63 there is nothing to find; whoever stores has asked storable() before.
    bind_integer(index, std::in_range<std::int64_t>(value) ? static_cast<std::int64_t>(value) : INT64_MAX);
  }
  void bind_one(int index, bool value) { bind_integer(index, value ? 1 : 0); }
  void bind_one(int index, const std::string& value) { bind_text(index, value); }
  void bind_one(int index, std::string_view value) { bind_text(index, value); }
  void bind_one(int index, Lsn value) { bind_one(index, value.value); }
  void bind_one(int index, Timestamp value) { bind_integer(index, value.unix_us); }
  void bind_one(int index, TimelineId value) { bind_integer(index, value.value); }
  void bind_one(int index, SegmentNumber value) { bind_one(index, value.value); }
  void bind_one(int index, std::nullopt_t) { bind_null(index); }
  template <class T>
  void bind_one(int index, const std::optional<T>& value) {
    if (value) {
      bind_one(index, *value);
    } else {
      bind_null(index);
    }
  }

  Database* database_;
  std::string_view sql_;
  sqlite3_stmt* statement_;
};

/// One connection. Not for two threads at once.
class Database {
 public:
  enum class Access : std::uint8_t { read_only, read_write };
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(const Path& path, Access access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// `sql` must outlive the database: a literal. It is the key of the cache.
  [[nodiscard]] Result<Statement> statement(std::string_view sql);
  /// One or more statements without parameters and without rows.
  [[nodiscard]] Status execute(const char* sql);
  /// Runs `work` in a transaction, or in a savepoint of the one that is open. What fails leaves no trace.
  [[nodiscard]] Status atomically(const std::function<Status()>& work);
  /// A read transaction around `work`; inside an open transaction just `work`.
  [[nodiscard]] Status consistently(const std::function<Status()>& work);

  [[nodiscard]] const Path& path() const { return path_; }
  /// The connection's last error with the catalog's name and a hint.
  [[nodiscard]] tl::unexpected<Error> failure() const;

 private:
  friend class Statement;
  explicit Database(Path path) : path_(std::move(path)) {}
  [[nodiscard]] Status framed(const char* begin, const char* commit, const char* rollback,
                              const std::function<Status()>& work);

  Path path_;
  sqlite3* connection_ = nullptr;
  std::unordered_map<std::string_view, std::vector<sqlite3_stmt*>> idle_;
};

/// What every error about the catalog itself advises: it is derived data.
[[nodiscard]] std::string rebuild_hint();

/// LSNs are stored as SQLite's signed integers: refused from 8000000/0 on, which no server reaches (8 EiB of
/// WAL).
[[nodiscard]] Status storable(std::initializer_list<Lsn> positions);

}  // namespace walback
