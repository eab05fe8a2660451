#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <map>
#include <set>

#include "archive/manage_status.h"
#include "base/text.h"
#include "catalog/journal.h"
#include "integration/support/crash.h"
#include "integration/support/lab_fixture.h"
#include "lab/failover.h"
#include "lab/lab_processes.h"
#include "os/system.h"
#include "pg/slots.h"

/// Real servers change their roles under a running walback. The oracle is what each commit was told: its row
/// and its xid, kept here; no index, catalog or WAL code of walback's has a part in it.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

using Ids = std::set<std::int64_t>;

template <class T>
T must(Result<T> result, const std::string& what) {
  REQUIRE_MESSAGE(result, what << ": " << result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Ids operator+(Ids a, const Ids& b) {
  a.insert(b.begin(), b.end());
  return a;
}

/// Two servers, "primary" and "standby", and a walback whose configuration names both for either part.
class FailoverLab : public LabFixture {
 public:
  FailoverLab() : LabFixture(LabOptions{.standby = true, .segment_size_mb = 1}), now_(state()) {
    kill_services();
    write_config(hosts());
    const Json made = ask({"init"});
    CHECK(made.at("slot_created") == false);
    REQUIRE(made.at("standbys").size() == 1);
    CHECK(made.at("standbys")[0].at("name") == "standby");
    CHECK(made.at("standbys")[0].at("slot_created") == true);
    start_services();
    CHECK(ask({"init"}).at("standbys")[0].at("slot_created") == false);
    must(on(first()).execute("CREATE TABLE kept (id bigint PRIMARY KEY)"), "the table");
  }

  LabState& now() { return now_; }
  LabServer& first() { return now_.primary; }
  LabServer& second() { return *now_.standby; }
  [[nodiscard]] Connection on(const LabServer& server) const {
    return must(Connection::open(now_.conninfo(server)), server.name);
  }
  [[nodiscard]] std::string hosts() const {
    const std::string socket = now_.socket_directory.string();
    return fmt::format("host={},{} port={},{} user=postgres dbname=postgres", socket, socket,
                       now_.primary.port, now_.standby->port);
  }
  [[nodiscard]] std::string name_of_host(const LabServer& server) const {
    return fmt::format("{}:{}", now_.socket_directory.string(), server.port);
  }
  void write_config(const std::string& conninfo) const {
    must(real_file_system().write(now_.config(),
                                  fmt::format("archive: {}\nprimary:\n  conninfo: \"{}\"\nstandbys:\n"
                                              "  - name: standby\n    conninfo: \"{}\"\n",
                                              archive().string(), conninfo, now_.standby_conninfo())),
         "walback.yaml");
  }

  /// `count` commits of one row each, in this order; what each was told.
  struct Written {
    Ids ids;
    std::vector<std::pair<std::int64_t, std::string>> xids;
    Written& operator+=(const Written& later) {
      ids.insert(later.ids.begin(), later.ids.end());
      xids.insert(xids.end(), later.xids.begin(), later.xids.end());
      return *this;
    }
  };
  Written write(const LabServer& server, int count) {
    Connection connection = on(server);
    Written written;
    for (int i = 0; i < count; ++i) {
      const std::int64_t id = ++last_id_;
      const auto rows = must(connection.query(fmt::format(
                                 "INSERT INTO kept VALUES ({}) RETURNING pg_current_xact_id()::text", id)),
                             "an insert");
      written.ids.insert(id);
      written.xids.emplace_back(id, rows.text(0, 0));
    }
    return written;
  }

  /// The archive holds all that this server has written.
  void captured(const LabServer& server) const {
    Connection connection = on(server);
    const std::string flushed =
        must(connection.query("SELECT pg_current_wal_flush_lsn()"), "the flush position").text(0, 0);
    const std::string sql = fmt::format(
        "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'walback_capture' AND "
        "flush_lsn >= '{}')",
        flushed);
    REQUIRE_MESSAGE(wait_until([&] { return must(connection.query(sql), sql).boolean(0, 0); }, 60s),
                    "the capturer does not reach " << flushed << " of " << server.name << ":\n"
                                                   << log());
  }
  void standby_is_level(const LabServer& primary, const LabServer& standby) const {
    const std::string sql =
        fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'",
                    must(on(primary).query("SELECT pg_current_wal_flush_lsn()"), "flush").text(0, 0));
    Connection connection = on(standby);
    REQUIRE(wait_until([&] { return must(connection.query(sql), sql).boolean(0, 0); }, 60s));
  }
  /// Of the newest watermark that was covered; 0: none yet.
  [[nodiscard]] std::uint32_t watermark_timeline() const {
    const Path file = ArchiveLayout{archive()}.manage_status();
    const auto text = real_file_system().read(file);
    if (!text) return 0;
    const auto status = parse_manage_status(*text, file.string());
    return status && status->watermark ? status->watermark->timeline.value : 0;
  }
  [[nodiscard]] std::string log() const { return real_file_system().read(now_.walback_log()).value_or(""); }
  bool log_says(const std::string& text) const {
    return wait_until([&] { return log().find(text) != std::string::npos; }, 60s);
  }
  [[nodiscard]] Ids rows_of(const Restored& cluster) const {
    Connection connection = connect(cluster);
    const auto rows = must(connection.query("SELECT id FROM kept"), "the rows");
    Ids ids;
    for (int i = 0; i < rows.count(); ++i) ids.insert(rows.integer(i, 0));
    return ids;
  }
  /// Restores, compares, and stops the copy again. An exit code but 0 fails: the copy is proven.
  void check_restore(const std::vector<std::string>& target, const Ids& expected) {
    CAPTURE(join(target, " "));
    const Restored cluster = restore(target);
    CHECK(rows_of(cluster) == expected);
    stop(cluster);
  }
  /// Every file of an epoch, byte for byte.
  [[nodiscard]] std::map<std::string, std::string> files_of(int epoch) const {
    std::map<std::string, std::string> contents;
    const Path directory = ArchiveLayout{archive()}.epoch(static_cast<std::uint32_t>(epoch));
    for (const auto& entry : must(real_file_system().list(directory), "an epoch"))
      contents[entry.name] = must(real_file_system().read(directory / entry.name), entry.name);
    return contents;
  }

 private:
  LabState now_;
  std::int64_t last_id_ = 0;
};

bool has_finding(const Json& check, const std::string& subject, const std::string& part) {
  for (const Json& finding : check.at("findings"))
    if (finding.at("subject") == subject &&
        finding.at("text").get<std::string>().find(part) != std::string::npos)
      return true;
  return false;
}

}  // namespace

TEST_CASE("failover: level, then a segment behind; both sides of both switches can be restored") {
  FailoverLab lab;
  const auto before = lab.write(lab.first(), 60);
  lab.ask({"backup"});
  lab.captured(lab.first());

  // The manager moves the standby's slot on, to where the capture would go on.
  const auto on_standby = [&] {
    return must(lab.on(lab.second())
                    .query("SELECT restart_lsn FROM "
                           "pg_replication_slots WHERE slot_name = 'walback'"),
                "slot")
        .text(0, 0);
  };
  const std::string created_at = on_standby();
  must(lab.on(lab.first()).execute("SELECT pg_switch_wal()"), "switch");
  const auto level = lab.write(lab.first(), 20);
  lab.captured(lab.first());
  REQUIRE(wait_until([&] { return on_standby() != created_at; }, 60s));
  CHECK(
      has_finding(lab.walback({"--json", "check"}).json, "standby standby", "its slot 'walback' keeps WAL"));

  // A standby that is level: the same epoch, and the archive goes on by itself.
  lab.standby_is_level(lab.first(), lab.second());
  must(kill_primary(lab.now()), "kill");
  must(promote(lab.now(), lab.second()), "promote");
  const auto second = lab.write(lab.second(), 40);
  lab.captured(lab.second());
  Json status = lab.walback({"--json", "status"}).json;
  CHECK(status.at("captured_host") == lab.name_of_host(lab.second()));
  CHECK(status.at("primary_host") == lab.name_of_host(lab.second()));
  CHECK(status.at("timeline") == 2);
  CHECK(status.at("captured_timeline") == 2);
  CHECK(status.at("epoch") == 1);
  CHECK(status.at("gaps").empty());

  // The manager's session goes there as well.
  REQUIRE(wait_until([&] { return lab.watermark_timeline() == 2; }, 60s));

  // The old primary comes back: it is named, and not one byte of it is captured.
  must(start_again(lab.now(), lab.first()), "start again");
  REQUIRE(lab.log_says("host_refused"));
  CHECK(lab.log_says(
      fmt::format("'{}' takes writes on timeline 1, which the archive's history left for timeline 2",
                  lab.name_of_host(lab.first()))));
  CHECK(has_finding(lab.walback({"--json", "check"}).json, "primary.conninfo", "takes writes on timeline 1"));
  lab.write(lab.first(), 5);
  // Begun anew with both there, it goes to the right one.
  lab.kill_services();
  lab.start_services();
  lab.captured(lab.second());

  // It becomes the standby, falls a segment behind, and is promoted: a second time in a row.
  must(rebuild_as_standby(lab.now(), lab.first(), lab.second()), "rebuild");
  CHECK(lab.ask({"init"}).at("standbys")[0].at("slot_created") == true);
  const auto shared = lab.write(lab.second(), 10);
  lab.standby_is_level(lab.second(), lab.first());
  must(cut_off(lab.now(), lab.first()), "cut off");
  auto abandoned = lab.write(lab.second(), 50);
  must(lab.on(lab.second()).execute("SELECT pg_switch_wal()"), "switch");
  abandoned += lab.write(lab.second(), 10);
  lab.captured(lab.second());
  must(kill_server(lab.second().data), "kill");
  lab.kill_services();
  const auto kept = lab.files_of(1);
  must(promote(lab.now(), lab.first()), "promote");
  killed_at(lab, "epoch.recorded", {"capture"});
  lab.start_services();
  const auto third = lab.write(lab.first(), 40);
  lab.captured(lab.first());
  status = lab.walback({"--json", "status"}).json;
  CHECK(status.at("captured_host") == lab.name_of_host(lab.first()));
  CHECK(status.at("captured_timeline") == 3);
  CHECK(status.at("epoch") == 2);
  CHECK(status.at("gaps").empty());
  CHECK(lab.files_of(1) == kept);
  const auto journal =
      must(read_journal(real_file_system(), ArchiveLayout{lab.archive()}.journal()), "journal");
  // Once by the capturer that was killed, once by its successor: of one epoch.
  REQUIRE(std::ranges::count(journal.entries, "epoch_opened", &JournalEntry::kind) == 2);
  for (const JournalEntry& entry : journal.entries)
    if (entry.kind == "epoch_opened") CHECK(entry.body.at("epoch") == 2);

  // Every side of both switches.
  const Ids first_path = before.ids + level.ids;
  const Ids second_path = first_path + second.ids + shared.ids;
  lab.check_restore({"--to-latest", "--timeline", "1"}, first_path);
  lab.check_restore({"--to-latest", "--timeline", "2"}, second_path + abandoned.ids);
  lab.check_restore({"--to-latest"}, second_path + third.ids);
  Ids middle = second_path;
  for (std::size_t i = 0; i < 20; ++i) middle.insert(third.xids[i].first);
  lab.check_restore({"--to-xid", third.xids[19].second}, middle);
  Ids within = second_path;
  for (std::size_t i = 0; i < 50; ++i) within.insert(abandoned.xids[i].first);
  lab.check_restore({"--to-xid", abandoned.xids[49].second, "--timeline", "2"}, within);

  // A base backup is taken where the primary is now.
  CHECK(lab.ask({"backup"}).at("timeline") == 3);

  // A server that was promoted apart from the one that is followed, to the same number.
  lab.kill_services();
  must(real_file_system().write(lab.second().data / "standby.signal", ""), "standby.signal");
  must(start_again(lab.now(), lab.second()), "start again");
  must(promote(lab.now(), lab.second()), "promote");
  lab.write_config(lab.now().standby_conninfo());
  const WalbackRun refused = lab.walback({"capture"}, 60s);
  CHECK(refused.exit_code == exit_code(ErrorKind::conflict));
  CHECK(
      refused.err.find("does not descend from timeline 3, which the archive holds: its history is 1 until") !=
      std::string::npos);
  CHECK_MESSAGE(refused.err.find("the archive's 1 until") != std::string::npos, refused.all());
}
