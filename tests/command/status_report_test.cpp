#include "command/status_report.h"

#include <doctest/doctest.h>

#include <regex>
#include <set>

using namespace walback;

namespace {

constexpr std::int64_t kNow = 1'795'171'327'123'456;  // 2026-11-20T10:42:07.123456Z

BackupRow backup(const std::string& id) {
  BackupRow row;
  row.id = id;
  row.timeline = {1};
  row.size_bytes = 22ULL << 20;
  row.finished_at = {kNow - 3'600'000'000};
  return row;
}

StatusReport report() {
  StatusReport report(ArchiveIdentity{7301, *SegmentSize::from_bytes(16U << 20)});
  report.taken_at = {kNow};
  report.archive = "/archive";
  report.primary_answers = report.capturer_runs = report.manager_runs = true;
  report.primary_lsn = Lsn{0x5000100};
  report.primary_host = "db2:5432";
  report.primary_timeline = {2};
  report.capture.emplace();
  report.capture->state = CaptureState::streaming;
  report.capture->epoch = 3;
  report.held_loss_bytes = 0;
  report.durable_loss_bytes = 256;
  ReplicationSlot slot;
  slot.name = "walback";
  slot.active = true;
  slot.restart_lsn = Lsn{0x5000000};
  slot.wal_status = SlotWalStatus::reserved;
  slot.held_back_bytes = 256;
  report.slots = {slot};
  ReplicationClient client;
  client.pid = 42;
  client.application_name = "say \"hi\"\\\n";
  client.slot = "walback";
  client.state = "streaming";
  client.sync_state = "async";
  client.write_lsn = Lsn{0x5000100};
  client.flush_lsn = Lsn{0x5000000};
  report.clients = {client};
  report.window.timeline = {1};
  report.window.spans = {{"b1", Lsn{0x4000000}, {kNow - 3'600'000'000}, Lsn{0x5000100}, Timestamp{kNow - 1}}};
  report.backups = {backup("b1"), backup("b2")};
  report.latest_usable_backup = "b1";
  report.proof = LastProof{"r1", "2026-11-20T10:00:00Z", true, {kNow - 60'000'000}};
  report.disk = ArchiveDisk{72ULL << 30, 64ULL << 20, std::nullopt};
  return report;
}

}  // namespace

TEST_CASE("status: the screen") {
  CHECK(render_text(report(), "UTC", false) ==
        "archive '/archive' of system 7301: all is well\n"
        "  window     from 2026-11-20T09:42:07.123456Z (0/4000000)\n"
        "             to   2026-11-20T10:42:07.123455Z (0/5000100) on timeline 1\n"
        "  lost now   nothing if the primary dies, 256 B of WAL if this machine dies with it\n"
        "  services   capturer streaming, WAL manager running, primary answers\n"
        "  primary    db2:5432 on timeline 2, captured into epoch 3\n"
        "  slot       walback: active, reserved, holds back 256 B\n"
        "  receiver   say \"hi\"\\\n: streaming, async, behind: write 0 B, flush 256 B, replay -\n"
        "  backups    2, the newest b2 of 2026-11-20T09:42:07.123456Z (22 MB), the latest usable b1\n"
        "  gaps       none\n"
        "  proof      r1: proven, 1 min 0 s ago\n"
        "  verified   never: `walback verify` reads everything once\n"
        "  drill      never: `walback drill` measures how long a restore takes\n"
        "  disk       72 GB free, of which 64 MB are kept as a reserve\n");
}

TEST_CASE("status: what is wrong stands first") {
  StatusReport bad = report();
  bad.problems = {"primary: connection refused"};
  bad.primary_answers = bad.capturer_runs = false;
  bad.held_loss_bytes.reset();
  bad.durable_loss_bytes.reset();
  bad.proof->holds = false;
  bad.latest_usable_backup.clear();
  const std::string text = render_text(bad, "UTC", false);
  CHECK(
      text.starts_with("archive '/archive' of system 7301: needs a look\n"
                       "  !          primary: connection refused\n"));
  CHECK(
      text.find("  lost now   cannot tell if the primary dies, cannot tell if this machine dies with it\n") !=
      std::string::npos);
  CHECK(text.find("capturer NOT running, WAL manager running, primary does NOT answer") != std::string::npos);
  CHECK(text.find(", NONE usable\n") != std::string::npos);
  CHECK(text.find("  proof      r1: NOT what was planned, 1 min 0 s ago\n") != std::string::npos);
}

TEST_CASE("status: the keys of its JSON are a contract") {
  const Json json = to_json(report());
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"taken_at",
                                         "archive",
                                         "system_identifier",
                                         "ok",
                                         "problems",
                                         "recoverable_window",
                                         "loss_if_primary_dies_bytes",
                                         "loss_if_both_die_bytes",
                                         "primary_answers",
                                         "primary_lsn",
                                         "primary_host",
                                         "timeline",
                                         "captured_host",
                                         "captured_timeline",
                                         "epoch",
                                         "capturer_runs",
                                         "manager_runs",
                                         "capture_state",
                                         "synchronous",
                                         "slots",
                                         "replication",
                                         "gaps",
                                         "backups",
                                         "latest_usable_backup",
                                         "last_restore",
                                         "last_proof",
                                         "assurance",
                                         "disk_available_bytes",
                                         "disk_reserve_bytes",
                                         "wal_bytes_per_second",
                                         "disk_full_in_seconds",
                                         "slot_full_in_seconds"});
  CHECK(json["last_proof"] == Json{{"name", "r1"},
                                   {"target", "2026-11-20T10:00:00Z"},
                                   {"verdict", "proven"},
                                   {"at", "2026-11-20T10:41:07.123456Z"}});
  CHECK(json["primary_lsn"] == "0/5000100");
  CHECK(json["ok"] == true);
}

TEST_CASE("status: the last proof is the newest restore's that came as far") {
  RestoreRow running, refuted, proven;
  running.name = "running";
  refuted.name = "refuted";
  refuted.proof = R"({"verdict":"mismatch"})";
  refuted.finished_at = Timestamp{7};
  proven.name = "proven";
  proven.proof = R"({"verdict":"proven"})";
  CHECK_FALSE(last_proof({running}).has_value());
  const auto newest = last_proof({running, refuted, proven});
  REQUIRE(newest.has_value());
  CHECK(newest->name == "refuted");
  CHECK_FALSE(newest->holds);
  CHECK(newest->at == Timestamp{7});
  CHECK(last_proof({proven})->holds);
}

TEST_CASE("status metrics: Prometheus' text format, each family once, each sample unique") {
  const std::string text = render_metrics(report());
  const std::regex help("# HELP (walback_[a-z_]+) .+\\."), type("# TYPE (walback_[a-z_]+) gauge"),
      sample(R"re((walback_[a-z_]+)(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? ([0-9]+(\.[0-9]+)?))re");
  std::set<std::string> families, samples;
  std::string family;
  std::size_t begin = 0;
  REQUIRE(text.ends_with('\n'));
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    CAPTURE(line);
    std::smatch found;
    if (std::regex_match(line, found, help)) {
      family = found[1];
      CHECK(families.insert(family).second);
    } else if (std::regex_match(line, found, type)) {
      CHECK(found[1] == family);
    } else {
      REQUIRE(std::regex_match(line, found, sample));
      CHECK(found[1] == family);
      CHECK(samples.insert(found[1].str() + found[2].str()).second);
    }
  }
  CHECK(text.find(
            "walback_receiver_flush_lag_bytes{application_name=\"say \\\"hi\\\"\\\\\\n\",slot=\"walback\","
            "pid=\"42\"} 256\n") != std::string::npos);
  CHECK(text.find("walback_window_last_commit_seconds 1795171327.123455\n") != std::string::npos);
  CHECK(text.find("walback_last_proof_ok 1\n") != std::string::npos);
  CHECK(text.find("walback_last_usable_backup_seconds 1795167727.123456\n") != std::string::npos);
}

TEST_CASE("status metrics: what cannot be told has no sample") {
  StatusReport unknown = report();
  unknown.held_loss_bytes.reset();
  unknown.proof.reset();
  const std::string text = render_metrics(unknown);
  CHECK(text.find("loss_if_primary_dies_bytes") == std::string::npos);
  CHECK(text.find("last_proof") == std::string::npos);
}
