#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "wal/lsn.h"

namespace walback {

/// A query's result in text format.
class Rows {
 public:
  struct Impl;
  explicit Rows(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  [[nodiscard]] int count() const;
  [[nodiscard]] bool is_null(int row, int column) const;
  [[nodiscard]] std::string text(int row, int column) const;      ///< "" for NULL
  [[nodiscard]] std::int64_t integer(int row, int column) const;  ///< 0 for NULL or what is no number
  [[nodiscard]] bool boolean(int row, int column) const;
  [[nodiscard]] std::optional<Lsn> lsn(int row, int column) const;
  /// Of a column that holds microseconds since 1970 (see sql_time in pg/sql.h); nothing for NULL.
  [[nodiscard]] std::optional<Timestamp> time(int row, int column) const;

 private:
  std::shared_ptr<const Impl> impl_;
};

/// What every connection has, because a paused primary makes clients hang without an error.
struct ConnectionOptions {
  std::string application_name = "walback";
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds statement_timeout{30'000};  ///< 0: none
  bool replication = false;                             ///< a physical replication connection
  bool synchronous_commit_off = false;                  ///< else `local`: walback never waits for itself
};

/// One libpq session. Time-outs on connect, statement, TCP (keepalives, tcp_user_timeout) and, on our side,
/// on waiting for an answer (statement_timeout and 5 s more; a day where there is none): nobody hangs on a
/// paused server or a half-open network. After such a wait the session is over; alive() says so. What the
/// conninfo sets itself (connect_timeout, keepalives, application_name, options…) wins over ours. Several
/// hosts are asked one after the other, each with its own connect_timeout. Only the look-up of a host's name
/// is beyond us: the resolver's own time-outs hold there. Errors: unreachable when there is no server,
/// usage/conflict/… never: an SQL error is `internal` unless its SQLSTATE says otherwise (28*, 42501: config
/// "may not"; 57P03, 53300: unavailable; 57014: unavailable), with the server's own words. Not thread safe:
/// one thread a connection.
class Connection {
 public:
  [[nodiscard]] static Result<Connection> open(const std::string& conninfo,
                                               const ConnectionOptions& options = {});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  /// Without parameters `sql` may be several statements, which are one transaction; the last one's rows.
  /// A COMMIT that the server turned into a ROLLBACK is an error.
  [[nodiscard]] Result<Rows> query(const std::string& sql, const std::vector<std::string>& parameters = {});
  /// The same for statements whose rows nobody reads.
  [[nodiscard]] Status execute(const std::string& sql, const std::vector<std::string>& parameters = {});
  [[nodiscard]] bool alive() const;
  /// The one call for another thread: hangs up, so that a query that waits for its answer returns
  /// (unreachable) and the session is over. The connection must not be destroyed meanwhile.
  void interrupt();
  /// The last statement's WARNINGs (SQLSTATE and text), for what succeeds with a warning, as a cancelled wait
  /// does.
  struct Notice {
    std::string sqlstate, message;
  };
  [[nodiscard]] const std::vector<Notice>& notices() const;
  [[nodiscard]] std::string sqlstate() const;  ///< of the last failed statement
  [[nodiscard]] int server_version_num() const;

 private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The conninfo string with a `password` in it is refused (config): it would show in a process list.
[[nodiscard]] Status check_conninfo(const std::string& conninfo, const std::string& what);
/// `base` with these keywords set, e.g. {{"dbname","replication"}}; quoting as libpq wants it.
[[nodiscard]] Result<std::string> with_keywords(
    const std::string& base, const std::vector<std::pair<std::string, std::string>>& keywords);

}  // namespace walback
