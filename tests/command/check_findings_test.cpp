#include "command/check_findings.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

Config config() {
  Config config;
  config.file = "/etc/walback/walback.yaml";
  config.archive = "/archive";
  config.primary.conninfo = "host=db1 user=walback";
  return config;
}

ReplicationSlot slot(const std::string& name) {
  ReplicationSlot slot;
  slot.name = name;
  slot.active = true;
  slot.restart_lsn = Lsn{0x3000000};
  slot.wal_status = SlotWalStatus::reserved;
  return slot;
}

/// A primary with nothing to find; each test spoils one thing.
struct World {
  Config configuration = config();
  CheckInput input{configuration};

  World() {
    input.archive_system_identifier = 7301;
    input.server.system_identifier = 7301;
    input.server.server_version_num = 150020;
    input.server.timeline = {1};
    input.settings = {{"wal_level", {"replica", "", false}},
                      {"fsync", {"on", "", false}},
                      {"full_page_writes", {"on", "", false}},
                      {"track_commit_timestamp", {"on", "", false}},
                      {"max_slot_wal_keep_size", {"10240", "MB", false}},
                      {"synchronous_commit", {"on", "", false}},
                      {"synchronous_standby_names", {"", "", false}},
                      {"archive_mode", {"off", "", false}}};
    input.role = {"walback", false, true, true, true};
    input.slots = {slot("walback")};
    input.mirror = MirrorTable{true, ""};
    input.cluster_bytes = 1ULL << 30;
    input.archive_disk = ArchiveDisk{50ULL << 30, 64ULL << 20, std::nullopt};
    input.binaries = Binaries{"/usr/lib/postgresql/15/bin", 15, 20};
    for (const char* name : {"pg_receivewal", "pg_basebackup", "pg_verifybackup"}) {
      input.programs.push_back({name, std::string("/usr/lib/postgresql/15/bin/") + name, {{15, 20}}});
    }
    input.capturer_runs = input.manager_runs = true;
    input.backups = input.usable_backups = 2;
  }

  /// All but what is good and the note that every primary gets about its slots.
  [[nodiscard]] std::vector<std::string> faults() const {
    std::vector<std::string> lines;
    for (const Finding& finding : check_findings(input)) {
      if (finding.severity == Severity::good || finding.subject == "max_slot_wal_keep_size") continue;
      lines.push_back(std::string(name_of(finding.severity)) + "|" + finding.subject + "|" + finding.text +
                      "|" + finding.mend);
    }
    return lines;
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("check: a protected primary has no fault") {
  CHECK(World().faults() == Lines{});
}

TEST_CASE("check: settings of the primary") {
  World world;
  SUBCASE("wal_level") {
    world.input.settings["wal_level"].value = "minimal";
    CHECK(
        world.faults() ==
        Lines{
            "wrong|wal_level|minimal, expected replica or logical|psql \"host=db1 user=walback\" -c \"alter "
            "system set wal_level = 'replica'\", then restart the primary"});
  }
  SUBCASE("fsync") {
    world.input.settings["fsync"].value = "off";
    CHECK(world.faults() ==
          Lines{"wrong|fsync|off: a crash of the primary can corrupt it|psql \"host=db1 user=walback\" -c "
                "\"alter system set fsync = on\" -c \"select pg_reload_conf()\""});
  }
  SUBCASE("full_page_writes") {
    world.input.settings["full_page_writes"].value = "off";
    CHECK(world.faults() ==
          Lines{"wrong|full_page_writes|off: a base backup can hold torn pages that WAL does not mend|psql "
                "\"host=db1 user=walback\" -c \"alter system set full_page_writes = on\" -c \"select "
                "pg_reload_conf()\""});
  }
  SUBCASE("archive_mode") {
    world.input.settings["archive_mode"].value = "on";
    CHECK(world.faults() ==
          Lines{"note|archive_mode|on: walback needs no archiver; one that fails makes base backups wait|"});
  }
  SUBCASE("remote_apply, with the receiver among the synchronous standbys") {
    world.input.settings["synchronous_commit"].value = "remote_apply";
    CHECK(world.faults() == Lines{});
    world.input.settings["synchronous_standby_names"].value = "FIRST 1 (walback_capture)";
    CHECK(
        world.faults() ==
        Lines{"wrong|synchronous_commit|remote_apply: a receiver never applies, so every commit that waits "
              "for it waits for ever|psql \"host=db1 user=walback\" -c \"alter system set synchronous_commit "
              "= on\" -c \"select pg_reload_conf()\""});
  }
  SUBCASE("commits wait for a receiver that does not flush") {
    world.input.settings["synchronous_standby_names"].value = "*";
    world.configuration.capture.synchronous = false;
    CHECK(world.faults() ==
          Lines{"wrong|capture.synchronous|false, and the primary waits for the receiver: commits wait for "
                "whole segments|set `capture: {synchronous: true}` in walback.yaml, then restart walback -c "
                "/etc/walback/walback.yaml run"});
  }
}

TEST_CASE("check: the server is another one than the archive's") {
  World world;
  world.input.server.system_identifier = 9;
  world.input.server.in_recovery = true;
  CHECK(
      world.faults() ==
      Lines{
          "wrong|system identifier|the primary is 9, the archive's cluster is 7301|walback -c other.yaml "
          "init --conninfo CONNINFO --archive DIRECTORY (a new archive)",
          "wrong|primary|the server behind primary.conninfo is a standby|name the primary in walback.yaml"});
}

TEST_CASE("check: privileges of the role") {
  World world;
  world.input.role = {"Wal \"back\"", false, false, false, true};
  CHECK(world.faults() ==
        Lines{"wrong|role Wal \"back\"|may not replicate|psql \"host=db1 user=walback\" -c \"alter role "
              "\\\"Wal \\\"\\\"back\\\"\\\"\\\" replication\" (as a superuser)",
              "wrong|role Wal \"back\"|does not see other sessions, so that silence cannot be told from a "
              "commit under way (no watermarks)|psql \"host=db1 user=walback\" -c \"grant pg_monitor to "
              "\\\"Wal \\\"\\\"back\\\"\\\"\\\"\" (as a superuser)"});
  world.input.role.superuser = true;
  CHECK(world.faults() == Lines{});
}

TEST_CASE("check: the capture slot") {
  World world;
  world.input.capture_end = CaptureEnd{Lsn{0x5000000}, Timestamp{1'795'168'000'000'000}};
  const std::string nothing_after =
      "nothing after 0/5000000 is captured (the last commit before it: 2026-11-20T09:46:40.000000Z)|walback "
      "-c "
      "/etc/walback/walback.yaml capture --accept-gap, then walback -c /etc/walback/walback.yaml backup";
  SUBCASE("missing, and nothing was captured yet") {
    world.input.capture_end.reset();
    world.input.slots.clear();
    CHECK(world.faults() ==
          Lines{"wrong|slot walback|does not exist: WAL is recycled before it is captured|walback -c "
                "/etc/walback/walback.yaml init, then walback -c /etc/walback/walback.yaml backup"});
  }
  SUBCASE("vanished") {
    world.input.slots.clear();
    CHECK(world.faults() == Lines{"wrong|slot walback|does not exist: " + nothing_after});
  }
  SUBCASE("lost") {
    world.input.slots[0].wal_status = SlotWalStatus::lost;
    CHECK(world.faults() ==
          Lines{"wrong|slot walback|is lost: the primary removed WAL that it needed; " + nothing_after});
  }
  SUBCASE("reserves nothing") {
    world.input.slots[0].restart_lsn.reset();
    CHECK(world.faults() == Lines{"wrong|slot walback|reserves no WAL; " + nothing_after});
  }
  SUBCASE("not active") {
    world.input.slots[0].active = false;
    world.input.slots[0].held_back_bytes = 16U << 20;
    CHECK(world.faults() == Lines{"wrong|slot walback|is not active: nothing is captured; it holds back 16 "
                                  "MB on the primary|walback -c /etc/walback/walback.yaml run"});
  }
  SUBCASE("about to be lost") {
    world.input.slots[0].wal_status = SlotWalStatus::unreserved;
    world.input.slots[0].held_back_bytes = 1ULL << 40;
    CHECK(world.faults() ==
          Lines{"wrong|slot walback|is active and 1 TB behind: the next checkpoint may remove WAL that it "
                "needs|psql \"host=db1 user=walback\" -c \"alter system set max_slot_wal_keep_size = -1\" -c "
                "\"select pg_reload_conf()\""});
  }
}

TEST_CASE("check: other people's slots fill the same disk") {
  World world;
  world.input.slots.push_back(slot("other"));
  CHECK(world.faults() == Lines{});
  world.input.slots[1].active = false;
  world.input.slots[1].held_back_bytes = 3ULL << 30;
  CHECK(
      world.faults() ==
      Lines{"note|slot other|is not walback's and nobody uses it; it holds back 3 GB on the primary|psql "
            "\"host=db1 user=walback\" -c \"select pg_drop_replication_slot('other')\" (if nobody comes back "
            "for it)"});
}

TEST_CASE("check: another walback's slot is a note, and never to be dropped") {
  World world;
  world.input.slots.push_back(slot("other"));
  world.input.slots[1].held_back_bytes = 3ULL << 20;
  ReplicationClient client;
  client.pid = 4711;
  client.application_name = "walback_capture";
  client.slot = "other";
  world.input.clients = {client};
  CHECK(world.faults() ==
        Lines{"note|slot other|is another walback's, which streams from it (pid 4711 on the "
              "primary); it holds back 3 MB|"});
}

TEST_CASE("check: a gap is wrong until a base backup lies behind it, then it is told since when") {
  World world;
  GapImpact impact;
  impact.gap = {
      TimelineId{1}, Lsn{0x5000000}, Lsn{0x6000148}, "missing: segment 000000010000000000000005", {}, false};
  impact.cut_short = {"20261120T104207Z"};
  const std::string lost =
      "missing: segment 000000010000000000000005; every moment from 0/5000000 to 0/6000148 is out of reach; "
      "base backup 20261120T104207Z reaches only up to 0/5000000; ";
  world.input.gaps = {impact};
  const std::string backup =
      "protection is missing until a new base backup is finished|walback -c /etc/walback/walback.yaml backup";
  CHECK(world.faults() == Lines{"wrong|gap on timeline 1|" + lost + backup});
  world.input.gaps[0].gap.accepted = true;
  CHECK(world.faults() == Lines{"wrong|accepted gap on timeline 1|" + lost + backup});
  world.input.gaps[0].renewed_by = {"20261120T114207Z", Timestamp{1'795'168'000'000'000}};
  const std::string since =
      "protected again since 2026-11-20T09:46:40.000000Z, by base backup 20261120T114207Z|";
  CHECK(world.faults() == Lines{"note|accepted gap on timeline 1|" + lost + since});
  world.input.gaps[0].gap.accepted = false;
  CHECK(world.faults() == Lines{"note|gap on timeline 1|" + lost + since +
                                "put the segments back if they exist anywhere, else walback -c "
                                "/etc/walback/walback.yaml capture --accept-gap"});
}

TEST_CASE("check: standbys of walback.yaml") {
  World world;
  StandbyView standby{.name = "b",
                      .slot = "walback",
                      .conninfo = "host=db2",
                      .problem = {},
                      .server = world.input.server,
                      .started_at = {},
                      .found_slot = {},
                      .synchronous_names = {}};
  standby.server.in_recovery = true;
  standby.found_slot.emplace();
  standby.found_slot->restart_lsn = Lsn{0x5000028};
  standby.found_slot->wal_status = SlotWalStatus::reserved;
  world.input.resume_lsn = Lsn{0x5000000};
  SUBCASE("all well: whole segments are kept") {
    world.input.standbys = {standby};
    CHECK(world.faults() == Lines{});
  }
  SUBCASE("no slot") {
    standby.found_slot.reset();
    world.input.standbys = {standby};
    CHECK(world.faults() ==
          Lines{"wrong|standby b|has no slot 'walback': promoted now, it would not keep the "
                "WAL that the archive needs|walback -c /etc/walback/walback.yaml init"});
  }
  SUBCASE("a slot that begins behind what is captured") {
    standby.found_slot->restart_lsn = Lsn{0x6000028};
    world.input.standbys = {standby};
    CHECK(world.faults() ==
          Lines{"wrong|standby b|its slot 'walback' keeps WAL from 0/6000028 on, the archive would ask for "
                "0/5000000: promoted now, it would leave a gap|wait until the archive has come that far"});
  }
  SUBCASE("does not answer") {
    standby.problem = "connection refused";
    world.input.standbys = {standby};
    CHECK(world.faults() == Lines{"note|standby b|cannot be asked: connection refused|psql \"host=db2\" -c "
                                  "\"select pg_is_in_recovery()\" (says why)"});
  }
  SUBCASE("another cluster") {
    standby.server.system_identifier = 5;
    world.input.standbys = {standby};
    CHECK(world.faults() ==
          Lines{"wrong|standby b|is system 5, the archive's cluster is 7301|correct standbys "
                "in walback.yaml"});
  }
  SUBCASE("promoted") {
    standby.server.in_recovery = false;
    world.input.standbys = {standby};
    CHECK(world.faults() == Lines{"wrong|standby b|is not a standby: it takes writes of its own|correct "
                                  "primary and standbys in walback.yaml"});
    world.input.started_at = standby.started_at = Timestamp{42};
    world.input.standbys = {standby};
    CHECK(world.faults() == Lines{});  // it is the one that is followed
  }
  SUBCASE("a host that takes writes, and is not the primary") {
    world.input.refused_hosts = {
        {ErrorKind::conflict, "'db1:5432' takes writes on timeline 1, which 'db2:5432' left", ""}};
    CHECK(
        world.faults() ==
        Lines{"wrong|primary.conninfo|'db1:5432' takes writes on timeline 1, which 'db2:5432' left|stop that "
              "server, or make it a standby"});
  }
}

TEST_CASE("check: tablespaces that no base backup holds yet") {
  World world;
  world.input.tablespaces = {{16390, "fast", "/ssd/fast"}, {16391, "inside", "pg_tblspc/16391"}};
  const Lines noted{
      "note|tablespace fast|created in '/ssd/fast' after the newest usable base backup: on a host "
      "that has this path nothing behind its creation can be restored|walback -c "
      "/etc/walback/walback.yaml backup"};
  CHECK(world.faults() == noted);
  world.input.tablespaces_backed_up = {"16390"};
  CHECK(world.faults() == Lines{});
  world.input.tablespaces_backed_up = {"1639 /x", "16390 /ssd/fast"};
  CHECK(world.faults() == Lines{});
}

TEST_CASE("check: the mirror table") {
  World world;
  SUBCASE("somebody else's") {
    world.input.mirror->foreign_owner = "mallory";
    CHECK(
        world.faults() ==
        Lines{"wrong|table walback.wal_segments|it or its schema belongs to role 'mallory', expected "
              "'walback' or a superuser: it is not written|psql \"host=db1 user=walback\" -c \"alter schema "
              "walback owner to walback\" -c \"alter table walback.wal_segments owner to walback\""});
  }
  SUBCASE("may not be made") {
    world.input.mirror->present = false;
    CHECK(world.faults() == Lines{});
    world.input.role.creates_schemas = false;
    CHECK(
        world.faults() ==
        Lines{
            "note|table walback.wal_segments|is not there, and role 'walback' may not create its "
            "schema|psql \"host=db1 user=walback\" -c \"create schema walback authorization walback\" (as a "
            "superuser), or set `manage: {mirror: false}` in walback.yaml"});
    world.configuration.manage.mirror = false;
    CHECK(world.faults() == Lines{});
  }
}

TEST_CASE("check: services and base backups") {
  World world;
  world.input.capturer_runs = world.input.manager_runs = false;
  world.input.backups = world.input.usable_backups = 0;
  CHECK(
      world.faults() ==
      Lines{"wrong|capturer|is not running|walback -c /etc/walback/walback.yaml run",
            "wrong|WAL manager|is not running|walback -c /etc/walback/walback.yaml run",
            "wrong|base backups|none: nothing can be restored|walback -c /etc/walback/walback.yaml backup"});
  World unusable;
  unusable.input.usable_backups = 0;
  CHECK(unusable.faults() ==
        Lines{"wrong|base backups|2 base backups, none of them usable: the archive lacks WAL "
              "that they need|walback -c /etc/walback/walback.yaml backup"});
}

TEST_CASE("check: this machine") {
  World world;
  SUBCASE("no programs of that major") {
    world.input.binaries.reset();
    world.input.programs[1].version.reset();
    world.input.programs[0].version = {{14, 3}};
    const std::string install = "apt install postgresql-15 postgresql-client-15";
    CHECK(world.faults() ==
          Lines{"wrong|PostgreSQL programs|none of major 15 on this host|apt install postgresql-15",
                "wrong|pg_receivewal|'/usr/lib/postgresql/15/bin/pg_receivewal' is of 14.3, older than the "
                "primary's 15|" +
                    install,
                "wrong|pg_basebackup|was not found on this host|" + install});
  }
  SUBCASE("clocks") {
    world.input.clock_difference_us = -2'000'000;
    CHECK(world.faults() == Lines{});
    world.input.clock_difference_us = -2'500'000;
    CHECK(world.faults() ==
          Lines{"note|clocks|the primary's clock is 2.5 s behind ours; times of restores are "
                "the primary's|run NTP on both machines"});
  }
  SUBCASE("room") {
    world.input.archive_disk->available_bytes = 3ULL << 30;
    CHECK(world.faults() == Lines{});
    world.input.archive_disk->available_bytes = 2ULL << 30;
    CHECK(world.faults() ==
          Lines{"wrong|disk of the archive|2 GB free; another base backup and some WAL need 3 "
                "GB|give the archive a larger disk"});
    world.input.archive_disk = ArchiveDisk{5ULL << 30, 64ULL << 20, 1ULL << 20};
    CHECK(world.faults() ==
          Lines{"wrong|disk of the archive|5 GB free; at 1 MB/s of WAL the reserve of 64 MB is reached in "
                "about 84 min|give the archive a larger disk, or walback -c /etc/walback/walback.yaml expire "
                "--keep 2 --dry-run (names what can go)"});
    world.input.archive_disk->available_bytes = 5ULL << 20;
    CHECK(
        world.faults() ==
        Lines{
            "wrong|disk of the archive|5 MB free, less than the reserve of 64 MB: capturing pauses|give the "
            "archive a larger disk, or walback -c /etc/walback/walback.yaml expire --keep 2 --dry-run "
            "(names what can go)"});
  }
  SUBCASE("the slot's WAL on the primary") {
    world.input.slots[0].active = false;
    world.input.slot_forecast = SlotForecast{"holds back 3 GB; after 1 GB more …", true, true, 60};
    CHECK(world.faults() ==
          Lines{"wrong|slot walback|is not active: nothing is captured; it holds back 3 GB; after 1 GB more "
                "…|walback -c /etc/walback/walback.yaml run, and meanwhile, where the primary's disk has "
                "room, psql \"host=db1 "
                "user=walback\" -c \"alter system set max_slot_wal_keep_size = -1\" -c \"select "
                "pg_reload_conf()\""});
    world.input.slots[0].active = true;
    world.input.slot_forecast->urgent = false;
    CHECK(world.faults() ==
          Lines{"note|slot walback|is active and far behind; it holds back 3 GB; after 1 GB more …|walback "
                "-c /etc/walback/walback.yaml status (is it catching up?)"});
  }
}
