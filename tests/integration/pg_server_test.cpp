#include "pg/server.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "integration/support/throwaway_server.h"
#include "os/system.h"
#include "pg/base_backup_progress.h"
#include "pg/control_data.h"
#include "pg/slots.h"
#include "pg/watermark_queries.h"

using namespace walback;
using namespace std::chrono_literals;
using test::ThrowawayServer;

namespace {

ThrowawayServer& server() {
  static std::unique_ptr<ThrowawayServer> instance = [] {
    test::ThrowawayOptions options;
    options.wal_segment_size_mb = 1;
    options.data_checksums = true;
    options.settings = {{"track_commit_timestamp", "on"},  {"max_prepared_transactions", "10"},
                        {"max_slot_wal_keep_size", "3MB"}, {"autovacuum", "off"},
                        {"max_wal_size", "2MB"},           {"min_wal_size", "2MB"}};
    auto made = ThrowawayServer::create(options);
    REQUIRE_MESSAGE(made, made.error().message);
    return *std::move(made);
  }();
  return *instance;
}

Connection connect(const std::string& more = "") {
  auto connection = Connection::open(server().conninfo(more));
  REQUIRE_MESSAGE(connection, connection.error().message);
  return *std::move(connection);
}

template <class T>
T get(Result<T> result) {
  REQUIRE_MESSAGE(result, result.error().message);
  return *std::move(result);
}

void run_sql(Connection& connection, const std::string& sql) {
  const Status done = connection.execute(sql);
  REQUIRE_MESSAGE(done, done.error().message);
}

std::uint32_t current_xid(Connection& connection) {
  return static_cast<std::uint32_t>(get(connection.query("SELECT pg_current_xact_id()::xid")).integer(0, 0));
}

template <class Condition>
bool wait_until(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// Of those of X that are unsettled: the state, by xid; "" for settled.
std::string state_of(Connection& observer, std::uint32_t xid, Timestamp w) {
  for (const WriteTransaction& open : get(unsettled(observer, get(write_transactions(observer)), w))) {
    if (open.xid == xid) return open.state;
  }
  return "";
}

}  // namespace

TEST_CASE("server: identity, as pg_controldata has it too") {
  Connection connection = connect();
  const ServerIdentity identity = get(server_identity(connection));
  const ControlData control = get(read_control_data(server().binaries(), server().data_directory()));
  CHECK(identity.system_identifier == control.system_identifier);
  CHECK(identity.catalog_version == control.catalog_version);
  CHECK(identity.timeline == control.timeline);
  CHECK(identity.segment_size.bytes() == 1U << 20);
  CHECK(control.segment_size.bytes() == 1U << 20);
  CHECK(identity.data_checksums);
  CHECK(control.data_checksums);
  CHECK_FALSE(identity.in_recovery);
  CHECK(identity.major() == server().binaries().major);
  CHECK(identity.data_directory == server().data_directory().string());
  CHECK(control.max_prepared_transactions == 10);
  CHECK(control.track_commit_timestamp);
  CHECK(control.state == "in production");
}

TEST_CASE("server: positions, clock, settings, size") {
  Connection connection = connect();
  const WalPositions positions = get(wal_positions(connection));
  CHECK(positions.flush.valid());
  CHECK(positions.flush <= positions.write);
  CHECK(positions.write <= positions.insert);
  CHECK(get(insert_lsn(connection)) >= positions.insert);
  const Timestamp before = real_clock().now(), there = get(server_clock(connection)),
                  after = real_clock().now();
  CHECK(before <= there);
  CHECK(there <= after);
  const auto settings =
      get(server_settings(connection, {"wal_level", "max_slot_wal_keep_size", "no_such_setting"}));
  CHECK(settings.size() == 2);
  CHECK(settings.at("wal_level").value == "replica");
  CHECK(settings.at("max_slot_wal_keep_size").value == "3");
  CHECK(settings.at("max_slot_wal_keep_size").unit == "MB");
  for (const std::string& name : settings_to_check()) {
    INFO(name);
    CHECK(get(server_settings(connection, {name})).size() == 1);
  }
  CHECK(get(cluster_size_bytes(connection)) > 10'000'000);
  CHECK(get(user_tablespaces(connection)).empty());
  CHECK(get(replication_clients(connection)).empty());
  CHECK_FALSE(get(base_backup_progress(connection, "walback")));
}

TEST_CASE("server: what a role may do") {
  Connection connection = connect();
  run_sql(connection,
          "CREATE ROLE humble LOGIN; CREATE ROLE receiver LOGIN REPLICATION; GRANT pg_monitor TO receiver");
  const RolePrivileges all = get(role_privileges(connection));
  CHECK(all.role == "postgres");
  CHECK((all.superuser && all.replication && all.reads_all_stats && all.creates_schemas));
  Connection humble = connect("user=humble");
  const RolePrivileges none = get(role_privileges(humble));
  CHECK(none.role == "humble");
  CHECK_FALSE((none.superuser || none.replication || none.reads_all_stats || none.creates_schemas));
  CHECK(get(server_identity(humble)).data_directory.empty());
  Connection receiver = connect("user=receiver");
  const RolePrivileges some = get(role_privileges(receiver));
  CHECK((some.replication && some.reads_all_stats));
  CHECK_FALSE((some.superuser || some.creates_schemas));
}

TEST_CASE("server: what became of a transaction, and when") {
  Connection writer = connect(), reader = connect();
  run_sql(writer, "BEGIN");
  const std::uint32_t xid = current_xid(writer);
  CHECK(get(transaction_status(reader, xid)) == TransactionStatus::in_progress);
  CHECK_FALSE(get(commit_timestamp(reader, xid)));
  const Timestamp before = get(server_clock(reader));
  run_sql(writer, "COMMIT");
  CHECK(get(transaction_status(reader, xid)) == TransactionStatus::committed);
  const auto time = get(commit_timestamp(reader, xid));
  REQUIRE(time);
  CHECK(*time >= before);
  CHECK(*time <= get(server_clock(reader)));
  run_sql(writer, "BEGIN");
  const std::uint32_t lost = current_xid(writer);
  run_sql(writer, "ROLLBACK");
  CHECK(get(transaction_status(reader, lost)) == TransactionStatus::aborted);
  CHECK(get(transaction_status(reader, lost + 1000)) == TransactionStatus::in_future);
}

TEST_CASE("server: restore points and segment switches say where they are") {
  Connection connection = connect();
  const Lsn before = get(insert_lsn(connection));
  const Lsn point = get(create_restore_point(connection, "it's here"));
  CHECK(point > before);
  CHECK(get(switch_wal(connection)) >= point);
}

TEST_CASE("slots: created with WAL reserved, found, listed, dropped") {
  Connection connection = connect();
  // Between a checkpoint's beginning and its end its redo pointer, which the slot reserves, is not yet
  // flushed.
  run_sql(connection, "CHECKPOINT");
  CHECK_FALSE(get(find_slot(connection, "walback")));
  const Lsn restart = get(create_slot(connection, "walback"));
  CHECK(restart.valid());
  const auto slot = get(find_slot(connection, "walback"));
  REQUIRE(slot);
  CHECK(slot->restart_lsn == restart);
  CHECK_FALSE(slot->active);
  CHECK_FALSE(slot->active_pid);
  CHECK_FALSE(slot->temporary);
  CHECK(slot->wal_status == SlotWalStatus::reserved);
  CHECK(slot->safe_wal_size_bytes);
  CHECK(get(list_slots(connection)).size() == 1);
  const auto twice = create_slot(connection, "walback");
  REQUIRE_FALSE(twice);
  CHECK(twice.error() == Error{ErrorKind::conflict, "replication slot 'walback' is there already",
                               "Use it as it is, or drop it if nobody streams from it."});
  const Lsn target = get(insert_lsn(connection));
  const Status advanced = advance_slot(connection, "walback", target);
  REQUIRE_MESSAGE(advanced, advanced.error().message);
  CHECK(get(find_slot(connection, "walback"))->restart_lsn == target);
  REQUIRE(drop_slot(connection, "walback"));
  const auto again = drop_slot(connection, "walback");
  REQUIRE_FALSE(again);
  CHECK(again.error() == Error{ErrorKind::not_found, "replication slot 'walback' does not exist", ""});
}

TEST_CASE("slots: held-back WAL is counted, and a slot that lost its WAL says so") {
  Connection connection = connect();
  get(create_slot(connection, "slow"));
  const Lsn before = get(insert_lsn(connection));
  get(create_restore_point(connection, "x"));
  for (int i = 0; i < 2; ++i) get(switch_wal(connection)), get(create_restore_point(connection, "x"));
  const Lsn now = get(insert_lsn(connection));
  CHECK(get(find_slot(connection, "slow"))->held_back_bytes >= now - before);
  const auto lost = [&] {
    for (int i = 0; i < 5; ++i) get(switch_wal(connection)), get(create_restore_point(connection, "x"));
    run_sql(connection, "CHECKPOINT");
    return get(find_slot(connection, "slow"))->wal_status == SlotWalStatus::lost;
  };
  CHECK(wait_until(lost));
  const auto slot = get(find_slot(connection, "slow"));
  CHECK_FALSE(slot->restart_lsn);
  CHECK(slot->held_back_bytes == 0);
  REQUIRE(drop_slot(connection, "slow"));
}

TEST_CASE("watermark: an idle server has no open transaction, and asking makes none") {
  Connection observer = connect();
  const Lsn before = get(insert_lsn(observer));
  CHECK(get(write_transactions(observer)).empty());
  CHECK(get(unsettled(observer, {}, get(server_clock(observer)))).empty());
  CHECK(get(insert_lsn(observer)) == before);
}

TEST_CASE(
    "watermark: idle in transaction is settled, a statement begun before W is not, one begun after W is") {
  Connection writer = connect(), blocker = connect(), observer = connect();
  run_sql(writer, "BEGIN");
  const std::uint32_t xid = current_xid(writer);
  const auto x = get(write_transactions(observer));
  REQUIRE(x.size() == 1);
  CHECK(x[0].xid == xid);
  CHECK(x[0].pid == static_cast<int>(get(writer.query("SELECT pg_backend_pid()")).integer(0, 0)));
  CHECK_FALSE(x[0].prepared);
  CHECK(state_of(observer, xid, get(server_clock(observer))) == "");

  run_sql(blocker, "SELECT pg_advisory_lock(1)");
  const Timestamp early = get(server_clock(observer));
  std::thread waiting([&] { run_sql(writer, "SELECT pg_advisory_lock(1)"); });
  REQUIRE(wait_until([&] { return state_of(observer, xid, get(server_clock(observer))) == "active"; }));
  CHECK(state_of(observer, xid, early) == "");
  run_sql(blocker, "SELECT pg_advisory_unlock(1)");
  waiting.join();
  CHECK(state_of(observer, xid, get(server_clock(observer))) == "");
  run_sql(writer, "COMMIT");
  CHECK(get(write_transactions(observer)).empty());
}

TEST_CASE("watermark: a role that may not look gets no settled answer until the transaction is over") {
  Connection writer = connect();
  run_sql(writer, "CREATE ROLE blind LOGIN");
  Connection observer = connect("user=blind");
  run_sql(writer, "BEGIN");
  const std::uint32_t xid = current_xid(writer);
  const auto x = get(write_transactions(observer));
  const Timestamp w = get(server_clock(observer));
  CHECK(state_of(observer, xid, w) == "hidden");
  run_sql(writer, "COMMIT");
  CHECK(get(unsettled(observer, x, w)).empty());
}

TEST_CASE("watermark: without track_activities a transaction is unsettled until it is over") {
  Connection writer = connect(), observer = connect();
  run_sql(writer, "SET track_activities = off");
  run_sql(writer, "BEGIN");
  const std::uint32_t xid = current_xid(writer);
  CHECK(state_of(observer, xid, get(server_clock(observer))) == "disabled");
  run_sql(writer, "ROLLBACK");
}

TEST_CASE("watermark: a prepared transaction is settled unless somebody may be committing it") {
  Connection writer = connect(), blocker = connect(), observer = connect();
  run_sql(writer, "CREATE TABLE thing (x int)");
  run_sql(writer, "BEGIN; INSERT INTO thing VALUES (1)");
  const std::uint32_t xid = current_xid(writer);
  run_sql(writer, "PREPARE TRANSACTION 'p'");
  const auto x = get(write_transactions(observer));
  REQUIRE(x.size() == 1);
  CHECK(x[0].prepared);
  CHECK(x[0].pid == 0);
  CHECK(x[0].xid == xid);
  CHECK(state_of(observer, xid, get(server_clock(observer))) == "");

  run_sql(blocker, "SELECT pg_advisory_lock(2)");
  const Timestamp early = get(server_clock(observer));
  std::thread waiting([&] { run_sql(writer, "SELECT pg_advisory_lock(2)"); });
  REQUIRE(wait_until([&] { return state_of(observer, xid, get(server_clock(observer))) == "prepared"; }));
  CHECK(state_of(observer, xid, early) == "");

  Connection blind = connect("user=blind");
  run_sql(blocker, "SELECT pg_advisory_unlock(2)");
  waiting.join();
  CHECK(state_of(observer, xid, get(server_clock(observer))) == "");
  CHECK(state_of(blind, xid, get(server_clock(blind))) == "prepared");
  run_sql(writer, "COMMIT PREPARED 'p'");
  CHECK(get(write_transactions(observer)).empty());
}

TEST_CASE("watermark: a streaming receiver does not keep prepared transactions unsettled") {
  Connection writer = connect(), observer = connect();
  const Path target = server().directory() / "received";
  REQUIRE(real_file_system().create_directories(target));
  auto receiver = get(real_processes().spawn(
      Command{server().binaries().program("pg_receivewal"),
              {"-D", target.string(), "--no-loop", "-d", server().conninfo("application_name=walback")},
              {},
              "/"},
      [](std::string_view line) { MESSAGE(std::string(line)); }));
  REQUIRE(wait_until([&] {
    const auto clients = get(replication_clients(observer));
    return clients.size() == 1 && clients[0].state == "streaming" && clients[0].write_lsn;
  }));
  const auto client = get(replication_clients(observer)).at(0);
  CHECK(client.application_name == "walback");
  CHECK(client.sync_state == "async");
  CHECK(client.sent_lsn);
  CHECK_FALSE(client.replay_lsn);
  CHECK(client.slot.empty());
  run_sql(writer, "CREATE TABLE other_thing (x int)");
  run_sql(writer, "BEGIN; INSERT INTO other_thing VALUES (1); PREPARE TRANSACTION 'q'");
  const auto x = get(write_transactions(observer));
  REQUIRE(x.size() == 1);
  CHECK(state_of(observer, x[0].xid, get(server_clock(observer))) == "");
  run_sql(writer, "ROLLBACK PREPARED 'q'");
  receiver->stop(5s);
}

// Last: it ends the server.
TEST_CASE("throwaway server: kill -9 of all its processes, and it starts again") {
  server().kill_all();
  CHECK_FALSE(server().running());
  CHECK_FALSE(Connection::open(server().conninfo()));
  CHECK(get(read_control_data(server().binaries(), server().data_directory())).state == "in production");
  const Status started = server().start();
  REQUIRE_MESSAGE(started, started.error().message);
  REQUIRE(server().stop("immediate"));
  REQUIRE(server().start());
  REQUIRE(server().stop());
  CHECK(get(read_control_data(server().binaries(), server().data_directory())).state == "shut down");
  // Damage is never absence.
  const Path file = server().data_directory() / "global" / "pg_control";
  std::string bytes = get(real_file_system().read(file));
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  REQUIRE(real_file_system().write(file, bytes));
  const std::string what = "'" + server().data_directory().string() + "'";
  const auto damaged = read_control_data(server().binaries(), server().data_directory());
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().kind == ErrorKind::corrupt);
  CHECK(damaged.error().message == "pg_control of " + what + " is damaged: its CRC does not match");
  REQUIRE(real_file_system().write(file, ""));
  const auto empty = read_control_data(server().binaries(), server().data_directory());
  REQUIRE_FALSE(empty);
  CHECK(empty.error().kind == ErrorKind::corrupt);
  const auto absent = read_control_data(server().binaries(), server().directory());
  REQUIRE_FALSE(absent);
  CHECK(absent.error().kind == ErrorKind::not_found);
}
