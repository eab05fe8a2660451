#include "pg/connection.h"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "integration/support/throwaway_server.h"

using namespace walback;
using namespace std::chrono_literals;
using test::ThrowawayServer;

namespace {

/// One server for all: starting one is what takes time.
ThrowawayServer& server() {
  static std::unique_ptr<ThrowawayServer> instance = [] {
    test::ThrowawayOptions options;
    options.settings = {{"max_connections", "12"}, {"superuser_reserved_connections", "2"}};
    options.hba = {"local all postgres trust", "host all postgres 127.0.0.1/32 trust",
                   "host all secretive 127.0.0.1/32 scram-sha-256", "host postgres plain 127.0.0.1/32 trust"};
    auto made = ThrowawayServer::create(options);
    REQUIRE_MESSAGE(made, made.error().message);
    return *std::move(made);
  }();
  return *instance;
}

Connection connect(const ConnectionOptions& options = {}) {
  auto connection = Connection::open(server().conninfo(), options);
  REQUIRE_MESSAGE(connection, connection.error().message);
  return *std::move(connection);
}

std::string where() {
  return "connection to server at \"127.0.0.1\", port " + std::to_string(server().port()) + " failed: ";
}

double seconds_of(const std::function<void()>& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

TEST_CASE("connection: rows, parameters and NULLs come back as they are") {
  Connection connection = connect();
  CHECK(connection.alive());
  CHECK(connection.server_version_num() / 10000 == server().binaries().major);
  const auto rows = connection.query(
      "SELECT $1::text, $2::int + 1, NULL, true, '16/B374D848'::pg_lsn, (extract(epoch FROM "
      "'2026-11-20 10:42:07.123456+00'::timestamptz) * 1000000)::bigint",
      {"it's\n\"ours\"", "-42"});
  REQUIRE(rows);
  CHECK(rows->count() == 1);
  CHECK(rows->text(0, 0) == "it's\n\"ours\"");
  CHECK(rows->integer(0, 1) == -41);
  CHECK(rows->is_null(0, 2));
  CHECK(rows->text(0, 2).empty());
  CHECK(rows->boolean(0, 3));
  CHECK(rows->lsn(0, 4) == parse_lsn("16/B374D848"));
  CHECK(to_rfc3339(*rows->time(0, 5)) == "2026-11-20T10:42:07.123456Z");
  CHECK_FALSE(rows->time(0, 2));
  CHECK(rows->integer(0, 0) == 0);
  CHECK(rows->is_null(7, 7));
}

TEST_CASE("connection: what protects a session is set in it, and the conninfo's own options win") {
  ConnectionOptions options;
  options.statement_timeout = 12s;
  Connection connection = connect(options);
  const char* sql =
      "SELECT current_setting('statement_timeout'), current_setting('synchronous_commit'), "
      "current_setting('application_name')";
  auto rows = connection.query(sql);
  REQUIRE(rows);
  CHECK(rows->text(0, 0) == "12s");
  CHECK(rows->text(0, 1) == "local");
  CHECK(rows->text(0, 2) == "walback");
  options.synchronous_commit_off = true;
  auto other =
      Connection::open(server().conninfo("options='-c statement_timeout=7s' application_name=mine"), options);
  REQUIRE(other);
  rows = other->query(sql);
  REQUIRE(rows);
  CHECK(rows->text(0, 0) == "7s");
  CHECK(rows->text(0, 1) == "off");
  CHECK(rows->text(0, 2) == "mine");
}

TEST_CASE("connection: an SQL error says its SQLSTATE and the server's words, and the session goes on") {
  Connection connection = connect();
  const auto rows = connection.query("SELECT * FROM no_such_table");
  REQUIRE_FALSE(rows);
  CHECK(rows.error() ==
        Error{ErrorKind::internal,
              "the server refused a statement with SQLSTATE 42P01: relation \"no_such_table\" does not exist",
              ""});
  CHECK(connection.sqlstate() == "42P01");
  CHECK(connection.alive());
  REQUIRE(connection.query("SELECT 1"));
  CHECK(connection.sqlstate().empty());
}

TEST_CASE("connection: of several statements the first error counts, and nothing of them stays") {
  Connection connection = connect();
  const auto status =
      connection.execute("CREATE TABLE half (x int); SELECT 1 / 0; CREATE TABLE whole (x int)");
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "the server refused a statement with SQLSTATE 22012: division by zero");
  const auto rows = connection.query("SELECT count(*) FROM pg_class WHERE relname IN ('half', 'whole')");
  REQUIRE(rows);
  CHECK(rows->integer(0, 0) == 0);
}

TEST_CASE("connection: a COMMIT that became a ROLLBACK is an error") {
  Connection connection = connect();
  REQUIRE(connection.execute("BEGIN"));
  REQUIRE_FALSE(connection.execute("SELECT 1 / 0"));
  const auto committed = connection.execute("COMMIT");
  REQUIRE_FALSE(committed);
  CHECK(committed.error().message ==
        "COMMIT was answered with ROLLBACK: an earlier statement of the transaction had failed");
}

TEST_CASE("connection: warnings of the last statement are kept, notices are not") {
  Connection connection = connect();
  REQUIRE(connection.execute("DO $$ BEGIN RAISE WARNING 'beware'; RAISE NOTICE 'by the way'; END $$"));
  REQUIRE(connection.notices().size() == 1);
  CHECK(connection.notices()[0].sqlstate == "01000");
  CHECK(connection.notices()[0].message == "beware");
  REQUIRE(connection.execute("SELECT 1"));
  CHECK(connection.notices().empty());
}

TEST_CASE("connection: the server's own statement time-out is unavailable, and the session lives on") {
  ConnectionOptions options;
  options.statement_timeout = 100ms;
  Connection connection = connect(options);
  const auto rows = connection.query("SELECT pg_sleep(60)");
  REQUIRE_FALSE(rows);
  CHECK(rows.error().kind == ErrorKind::unavailable);
  CHECK(rows.error().message ==
        "the server refused a statement with SQLSTATE 57014: canceling statement due to statement timeout");
  CHECK(connection.alive());
}

TEST_CASE("connection: nobody listens there") {
  const std::uint16_t port = test::free_port();
  const auto connection = Connection::open("host=127.0.0.1 user=postgres port=" + std::to_string(port));
  REQUIRE_FALSE(connection);
  CHECK(connection.error() ==
        Error{ErrorKind::unreachable,
              "connection to server at \"127.0.0.1\", port " + std::to_string(port) +
                  " failed: Connection refused",
              "Is the server running, and are host and port of the connection string the right ones?"});
}

TEST_CASE("connection: refusals at the door say what to do") {
  Connection connection = connect();
  REQUIRE(connection.execute("CREATE ROLE secretive LOGIN PASSWORD 'right'; CREATE ROLE plain LOGIN"));
  const std::string base = "host=127.0.0.1 port=" + std::to_string(server().port()) + " dbname=postgres ";

  auto refused = Connection::open(base + "user=secretive password=wrong");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::config);
  CHECK(refused.error().message == where() + "FATAL: password authentication failed for user \"secretive\"");
  CHECK(refused.error().hint.starts_with("Put host:port:database:user:password into ~/.pgpass"));

  refused = Connection::open(base + "user=secretive passfile=/nonexistent");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::config);
  CHECK(refused.error().message == where() + "fe_sendauth: no password supplied");
  CHECK(refused.error().hint.starts_with("Put host:port:database:user:password into ~/.pgpass"));

  refused = Connection::open(base + "user=nobody");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::config);
  CHECK(refused.error().message.find("FATAL: no pg_hba.conf entry for host \"127.0.0.1\", user \"nobody\"") !=
        std::string::npos);
  CHECK(refused.error().hint.starts_with("Add a line for this user and address to the server's pg_hba.conf"));

  refused = Connection::open(base + "user=postgres dbname=nowhere");
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Error{ErrorKind::config, where() + "FATAL: database \"nowhere\" does not exist",
                                 "Name a database that exists, for example dbname=postgres."});

  auto humble = Connection::open(base + "user=plain");
  REQUIRE_MESSAGE(humble, humble.error().message);
  const auto forbidden = humble->query("SELECT pg_switch_wal()");
  REQUIRE_FALSE(forbidden);
  CHECK(
      forbidden.error() ==
      Error{
          ErrorKind::config,
          "the server refused a statement with SQLSTATE 42501: permission denied for function pg_switch_wal",
          "Grant the role what it lacks; \"walback check\" lists what walback needs."});
}

TEST_CASE("connection: a full server is unavailable") {
  REQUIRE(connect().execute("CREATE ROLE many LOGIN SUPERUSER"));
  std::vector<Connection> open;
  while (true) {
    auto connection = Connection::open(server().conninfo());
    if (!connection) {
      CHECK(connection.error().kind == ErrorKind::unavailable);
      CHECK(connection.error().message == where() + "FATAL: sorry, too many clients already");
      break;
    }
    open.push_back(*std::move(connection));
    REQUIRE(open.size() < 30);
  }
}

TEST_CASE("connection: the second host is asked when the first does not answer") {
  const std::string port = std::to_string(server().port());
  const std::string dead = std::to_string(test::free_port());
  auto connection = Connection::open("host=127.0.0.1,127.0.0.1 port=" + dead + "," + port +
                                     " user=postgres dbname=postgres");
  REQUIRE_MESSAGE(connection, connection.error().message);
  connection = Connection::open("host=127.0.0.1,127.0.0.1 port=" + port + "," + dead +
                                " user=postgres dbname=postgres target_session_attrs=standby");
  REQUIRE_FALSE(connection);
  CHECK(connection.error().kind == ErrorKind::unreachable);
  CHECK(connection.error().message == where() +
                                          "server is not in hot standby mode; connection to server at "
                                          "\"127.0.0.1\", port " +
                                          dead + " failed: Connection refused");
}

TEST_CASE("connection: a terminated session is over and says so") {
  Connection victim = connect();
  Connection killer = connect();
  const auto pid = victim.query("SELECT pg_backend_pid()");
  REQUIRE(pid);
  REQUIRE(killer.execute("SELECT pg_terminate_backend($1::int, 10000)", {pid->text(0, 0)}));
  const auto rows = victim.query("SELECT 1");
  REQUIRE_FALSE(rows);
  CHECK(rows.error().kind == ErrorKind::unreachable);
  CHECK_FALSE(victim.alive());
  const auto again = victim.query("SELECT 1");
  REQUIRE_FALSE(again);
  CHECK(again.error() == Error{ErrorKind::unreachable,
                               "the session with server at \"127.0.0.1\", port " +
                                   std::to_string(server().port()) + " is over",
                               "Open a new connection."});
}

TEST_CASE("connection: replication sessions speak the replication protocol") {
  ConnectionOptions options;
  options.replication = true;
  auto connection = Connection::open(server().socket_conninfo(), options);
  // This server's pg_hba.conf has no line for replication.
  REQUIRE_FALSE(connection);
  CHECK(connection.error().kind == ErrorKind::config);
}

// Last, because it stops the server.
TEST_CASE("connection: a paused server costs the time-outs and no more") {
  ConnectionOptions options;
  options.statement_timeout = 200ms;
  options.connect_timeout = 700ms;
  Connection connection = connect(options);
  server().signal_all(SIGSTOP);
  const double took = seconds_of([&] {
    const auto rows = connection.query("SELECT 1");
    REQUIRE_FALSE(rows);
    CHECK(rows.error() == Error{ErrorKind::unreachable,
                                "server at \"127.0.0.1\", port " + std::to_string(server().port()) +
                                    " did not answer a statement within 5.2 s",
                                "Is the server paused or overloaded, or is the network half open?"});
  });
  CHECK(took > 5.1);
  CHECK(took < 8);
  CHECK_FALSE(connection.alive());
  const double connecting = seconds_of([&] {
    const auto other = Connection::open(server().conninfo(), options);
    REQUIRE_FALSE(other);
    CHECK(other.error() == Error{ErrorKind::unreachable,
                                 "connection to server at \"127.0.0.1\", port " +
                                     std::to_string(server().port()) + " was not answered within 700 ms",
                                 "Is the server paused or overloaded, or does a firewall drop the packets?"});
  });
  CHECK(connecting > 0.6);
  CHECK(connecting < 3);
  server().signal_all(SIGCONT);
}
