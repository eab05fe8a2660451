// The command line as other programs call it: the keys and types of each answer, exit codes, one JSON
// document whatever happens.
#include <doctest/doctest.h>
#include <signal.h>

#include <regex>

#include "integration/support/lab_fixture.h"
#include "os/system.h"

using namespace walback;
using namespace walback::test;

namespace {

bool is_lsn(const Json& value) {
  static const std::regex form("[0-9A-F]{1,8}/[0-9A-F]{1,8}");
  return value.is_string() && std::regex_match(value.get<std::string>(), form);
}
bool is_time(const Json& value) {
  static const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)");
  return value.is_string() && std::regex_match(value.get<std::string>(), form);
}
bool is_system(const Json& value) {
  static const std::regex form("[0-9]{18,20}");
  return value.is_string() && std::regex_match(value.get<std::string>(), form);
}

bool is_of(const Json& value, std::string type) {
  if (type.ends_with('?')) {
    if (value.is_null()) return true;
    type.pop_back();
  }
  if (type == "text") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "bool") return value.is_boolean();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "lsn") return is_lsn(value);
  if (type == "time") return is_time(value);
  if (type == "system") return is_system(value);
  return false;
}

using Keys = std::vector<std::pair<std::string, std::string>>;

/// These keys, each of its type; `exactly`: and no others.
void check_shape(const Json& json, const Keys& keys, bool exactly = true) {
  CAPTURE(to_text(json));
  REQUIRE(json.is_object());
  for (const auto& [key, type] : keys) {
    CAPTURE(key);
    CAPTURE(type);
    REQUIRE(json.contains(key));
    CHECK(is_of(json[key], type));
  }
  if (exactly) CHECK(json.size() == keys.size());
}

/// stdout is one JSON document whose "error" is of this kind, and so is the exit code.
Error error_of(const WalbackRun& run, ErrorKind kind) {
  CAPTURE(run.all());
  CHECK(run.exit_code == exit_code(kind));
  REQUIRE(run.json.is_object());
  REQUIRE(run.json.contains("error"));
  check_shape(run.json["error"], {{"kind", "text"}, {"message", "text"}, {"hint", "text"}});
  CHECK(run.json["error"]["kind"] == std::string(name_of(kind)));
  CHECK(run.err.find("walback: " + run.json["error"]["message"].get<std::string>()) != std::string::npos);
  return {kind, run.json["error"]["message"], run.json["error"]["hint"]};
}

const Keys kCommit{{"lsn", "lsn"},
                   {"end_lsn", "lsn"},
                   {"time", "time"},
                   {"xid", "number"},
                   {"kind", "text"},
                   {"subxids", "array"},
                   {"relations_dropped", "array"},
                   {"files_removed", "array"}};
const Keys kBackup{{"id", "text"},
                   {"timeline", "number"},
                   {"start_lsn", "lsn"},
                   {"checkpoint_lsn", "lsn"},
                   {"stop_lsn", "lsn"},
                   {"started_at", "time"},
                   {"finished_at", "time"},
                   {"size_bytes", "number"},
                   {"server_version_num", "number"},
                   {"tablespaces", "array"},
                   {"problem", "text?"}};

Keys with(Keys keys, const Keys& more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

}  // namespace

TEST_CASE("command line: every reading command's JSON has its keys and types") {
  LabFixture lab({.standby = true, .fsync = true});

  const WalbackRun unprotected = lab.walback({"--json", "check"});
  error_of(unprotected, ErrorKind::findings);
  CHECK(unprotected.json["protected"] == false);
  for (const Json& finding : unprotected.json["findings"])
    check_shape(finding, {{"severity", "text"}, {"subject", "text"}, {"text", "text"}, {"mend", "text?"}});

  check_shape(lab.ask({"backup"}), with(kBackup, {{"usable", "bool"}}));
  const Json protection = lab.ask({"check"});
  check_shape(protection, {{"protected", "bool"}, {"findings", "array"}});
  CHECK(protection["protected"] == true);

  const Json load =
      lab.ask({"load", "--writers", "2", "--seconds", "1", "--rate", "50", "--ledger", lab.ledger()});
  check_shape(load, {{"elapsed_seconds", "number"},
                     {"acknowledged", "number"},
                     {"acknowledged_durable", "number"},
                     {"in_doubt", "number"},
                     {"failed", "number"},
                     {"reconnects", "number"},
                     {"commits_per_second", "number"},
                     {"latency_p50_us", "number"},
                     {"latency_p99_us", "number"},
                     {"latency_max_us", "number"},
                     {"last_error", "text"}});
  CHECK(load["acknowledged"].get<int>() > 0);
  check_shape(lab.ask({"load", "--settle", "--ledger", lab.ledger()}), {{"ledger", "text"},
                                                                        {"in_doubt", "number"},
                                                                        {"committed", "number"},
                                                                        {"aborted", "number"},
                                                                        {"undecided", "number"}});
  lab.execute("create table doomed (); drop table doomed");
  lab.wait_captured();

  const Json status = lab.ask({"status"});
  check_shape(status, {{"taken_at", "time"},
                       {"archive", "text"},
                       {"system_identifier", "system"},
                       {"ok", "bool"},
                       {"problems", "array"},
                       {"recoverable_window", "object"},
                       {"loss_if_primary_dies_bytes", "number"},
                       {"loss_if_both_die_bytes", "number"},
                       {"primary_answers", "bool"},
                       {"primary_lsn", "lsn"},
                       {"primary_host", "text"},
                       {"timeline", "number"},
                       {"captured_host", "text"},
                       {"captured_timeline", "number"},
                       {"epoch", "number"},
                       {"capturer_runs", "bool"},
                       {"manager_runs", "bool"},
                       {"capture_state", "text"},
                       {"synchronous", "object"},
                       {"slots", "array"},
                       {"replication", "array"},
                       {"gaps", "array"},
                       {"backups", "array"},
                       {"latest_usable_backup", "text"},
                       {"last_restore", "object?"},
                       {"last_proof", "object?"},
                       {"assurance", "object"},
                       {"disk_available_bytes", "number"},
                       {"disk_reserve_bytes", "number"},
                       {"wal_bytes_per_second", "number?"},
                       {"disk_full_in_seconds", "number?"},
                       {"slot_full_in_seconds", "number?"}});
  check_shape(status["slots"][0], {{"name", "text"},
                                   {"active", "bool"},
                                   {"restart_lsn", "lsn?"},
                                   {"wal_status", "text"},
                                   {"held_back_bytes", "number"},
                                   {"safe_wal_size_bytes", "number?"}});
  check_shape(status["replication"][0], {{"application_name", "text"},
                                         {"slot", "text"},
                                         {"state", "text"},
                                         {"sync_state", "text"},
                                         {"write_lsn", "lsn?"},
                                         {"flush_lsn", "lsn?"},
                                         {"replay_lsn", "lsn?"}});

  check_shape(lab.ask({"sync", "status"}), {{"state", "text"},
                                            {"synchronous_standby_names", "text"},
                                            {"primary_lsn", "lsn"},
                                            {"receivers", "array"},
                                            {"watchers", "number"},
                                            {"waiting_commits", "number"},
                                            {"problems", "array"}});

  const Json segments = lab.ask({"list", "segments"});
  REQUIRE_FALSE(segments.empty());
  for (const Json& segment : segments)
    check_shape(segment, {{"segment", "text"},
                          {"timeline", "number"},
                          {"epoch", "number"},
                          {"state", "text"},
                          {"start_lsn", "lsn"},
                          {"valid_end_lsn", "lsn"},
                          {"first_record_lsn", "lsn?"},
                          {"last_record_lsn", "lsn?"},
                          {"size_bytes", "number"},
                          {"records", "number"},
                          {"commits", "number"},
                          {"aborts", "number"},
                          {"first_time", "time?"},
                          {"last_time", "time?"},
                          {"problem", "text?"}});
  const Json backups = lab.ask({"list", "backups"});
  REQUIRE(backups.size() == 1);
  check_shape(backups[0], with(kBackup, {{"usable", "bool"}, {"latest_usable", "bool"}}));
  CHECK(backups[0]["latest_usable"] == true);
  check_shape(lab.ask({"list", "timelines"})[0], {{"timeline", "number"},
                                                  {"history_captured", "bool"},
                                                  {"history", "text"},
                                                  {"from_lsn", "lsn?"},
                                                  {"captured_to_lsn", "lsn?"}});
  CHECK(lab.ask({"list", "restores"}) == Json::array());
  CHECK(lab.ask({"clusters"}) == Json::array());
  CHECK(lab.ask({"clusters", "list"}) == Json::array());

  const Json commits = lab.ask({"commits"});
  REQUIRE(commits.size() > 1);
  for (const Json& commit : commits) check_shape(commit, kCommit);
  const Json drops = lab.ask({"commits", "--drops", "--from", backups[0]["stop_lsn"]});
  REQUIRE(drops.size() == 1);
  check_shape(drops[0]["relations_dropped"][0], {{"database", "number"}, {"oid", "number"}});

  const Json plan = lab.ask({"plan", "--to-lsn", drops[0]["lsn"], "--before"});
  check_shape(plan, {{"last_commit", "object?"}, {"next_commit", "object?"}}, false);
  for (const char* commit : {"last_commit", "next_commit"})
    check_shape(plan[commit], {{"lsn", "lsn"}, {"time", "time"}, {"xid", "number"}}, false);
  CHECK(plan["next_commit"]["lsn"] == drops[0]["lsn"]);
  CHECK(plan["next_commit"]["xid"] == drops[0]["xid"]);

  const auto restored = lab.restore({"--to-lsn", drops[0]["lsn"], "--before"});
  check_shape(restored.proof,
              {{"verdict", "text"},
               {"differences", "array"},
               {"expected", "object"},
               {"reached", "object"},
               {"timings", "object"},
               {"written_at", "time"}},
              false);
  const Json restores = lab.ask({"list", "restores"});
  REQUIRE(restores.size() == 1);
  const Keys restore{{"name", "text"},         {"directory", "text"}, {"port", "number"},
                     {"state", "text"},        {"target", "text"},    {"started_at", "time"},
                     {"finished_at", "time?"}, {"error", "text?"}};
  check_shape(restores[0], with(restore, {{"plan", "object"}, {"proof", "object"}}));
  check_shape(lab.ask({"clusters"})[0], with(restore, {{"proof", "object"}, {"server", "text"}}));
  check_shape(lab.ask({"status"})["last_proof"],
              {{"name", "text"}, {"target", "text"}, {"verdict", "text"}, {"at", "time"}});
  check_shape(lab.ask({"init"}), {{"archive", "text"},
                                  {"archive_created", "bool"},
                                  {"system_identifier", "system"},
                                  {"slot", "text"},
                                  {"slot_created", "bool"},
                                  {"wal_kept_from_lsn", "lsn"},
                                  {"standbys", "array"},
                                  {"config", "text"},
                                  {"config_written", "bool"}});
  const Json lab_status = lab.ask({"lab", "status", "--dir", lab.lab()});
  check_shape(lab_status, {{"directory", "text"},
                           {"config", "text"},
                           {"archive", "text"},
                           {"primary_conninfo", "text"},
                           {"standby_conninfo", "text?"},
                           {"synchronous", "bool"},
                           {"fsync", "bool"},
                           {"all_running", "bool"},
                           {"parts", "array"}});
  for (const Json& part : lab_status["parts"])
    check_shape(part, {{"name", "text"},
                       {"running", "bool"},
                       {"pid", "number?"},
                       {"port", "number?"},
                       {"directory", "text"},
                       {"log", "text"}});
}

TEST_CASE("command line: mistakes are answered with one document, a message and a hint") {
  LabFixture lab;

  SUBCASE("of the person") {
    CHECK(error_of(lab.walback({"--json", "stauts"}), ErrorKind::usage) ==
          Error{ErrorKind::usage, "'stauts' is no command of walback", "Did you mean `walback status`?"});
    CHECK(error_of(lab.walback({"plan", "--json"}), ErrorKind::usage) ==
          Error{ErrorKind::usage, "no recovery target is given",
                "Name one with --to-time, --to-lsn, --to-xid, --to-name, --to-latest or --to-consistent."});
    CHECK(error_of(lab.walback({"plan", "--json", "--to-latest", "--to-xid", "3"}), ErrorKind::usage).hint ==
          "Leave out all but one.");
    CHECK(error_of(lab.walback({"plan", "--json", "--to-time", "13am"}), ErrorKind::usage).hint ==
          "Hours are 0 to 23: 1 pm is 13:00.");
    CHECK(
        error_of(lab.walback({"plan", "--json", "--to-time", "2026-02-30 10:00Z"}), ErrorKind::usage).hint ==
        "Dates are written year-month-day: 2026-11-20.");
    CHECK(error_of(lab.walback({"--json", "clusters", "stop", "nobody"}), ErrorKind::not_found).message ==
          "no restored cluster is called 'nobody'");
    CHECK(error_of(lab.walback({"--json", "load", "--settle", "--ledger", "/nowhere/l.json"}),
                   ErrorKind::not_found)
              .message == "there is no ledger '/nowhere/l.json'");
    CHECK(error_of(lab.walback({"--json", "plan", "--to-latest"}), ErrorKind::not_found).message !=
          "");  // no base backup yet
  }
  SUBCASE("a second archive on a slot that is in use is refused before anything is made") {
    const Path archive = lab.directory() / "second", config = lab.directory() / "second.yaml";
    const auto output = run({lab.state().executable,
                             {"-c", config.string(), "init", "--conninfo", lab.state().primary_conninfo(),
                              "--archive", archive.string()},
                             {},
                             lab.directory()},
                            std::chrono::seconds{60});
    REQUIRE(output.has_value());
    CHECK(output->status.code == exit_code(ErrorKind::conflict));
    CHECK_MESSAGE(
        std::regex_match(output->err,
                         std::regex("walback: slot 'walback' is in use on the primary by pid [0-9]+, and "
                                    "this archive is new\nhint: Every archive needs a slot of its own: "
                                    "name another one with --slot\\.\n")),
        output->err);
    CHECK_FALSE(exists(real_file_system(), archive));
    CHECK_FALSE(exists(real_file_system(), config));
  }
  SUBCASE("a second capturer, manager or run is refused and names the first") {
    for (const char* service : {"capture", "manage", "run"}) {
      CAPTURE(service);
      const Error refused = error_of(lab.walback({"--json", service}), ErrorKind::conflict);
      CHECK(std::regex_search(refused.message, std::regex("already running: pid [0-9]+ holds '.*\\.lock'")));
    }
  }
  SUBCASE("help and version are documents too") {
    check_shape(lab.ask({"--version"}), {{"version", "text"}});
    check_shape(lab.ask({"restore", "--help"}), {{"help", "text"}});
    CHECK(lab.walback({"restore", "--help"}).out.find("  12  mismatch: ") != std::string::npos);
  }
  SUBCASE("global options stand before or after the command") {
    CHECK(lab.walback({"-q", "status"}).ok());
    CHECK(lab.walback({"status", "-q"}).ok());
    CHECK(lab.walback({"status", "-v"}).out.find("  capturer   pid ") != std::string::npos);
    CHECK(lab.walback({"status"}).out.find("  capturer   pid ") == std::string::npos);
  }
}

TEST_CASE("command line: status answers at once, whatever became of the primary") {
  LabFixture lab;
  const auto took = [&](const std::vector<std::string>& arguments, WalbackRun& run) {
    const auto begin = std::chrono::steady_clock::now();
    run = lab.walback(arguments);
    return std::chrono::steady_clock::now() - begin;
  };
  const Path metrics = lab.directory() / "walback.prom";
  REQUIRE(pause_primary(lab.state()).has_value());
  WalbackRun hangs;
  const auto hanging = took({"--json", "status", "--exit-code"}, hangs);
  REQUIRE(resume_primary(lab.state()).has_value());
  error_of(hangs, ErrorKind::findings);
  CHECK(hangs.json["primary_answers"] == false);
  // 0.9 s on an idle machine; the tests' is not.
  CHECK(hanging < std::chrono::seconds(5));

  REQUIRE(kill_primary(lab.state()).has_value());
  WalbackRun dead;
  CHECK(took({"--json", "status", "--exit-code", "--metrics", metrics}, dead) < std::chrono::seconds(5));
  error_of(dead, ErrorKind::findings);
  CHECK(dead.json["primary_answers"] == false);
  CHECK(dead.json["ok"] == false);
  CHECK(lab.walback({"status"}).ok());
  const auto text = real_file_system().read(metrics);
  REQUIRE(text.has_value());
  CHECK(text->find("\nwalback_primary_up 0\n") != std::string::npos);
  error_of(lab.walback({"--json", "check"}), ErrorKind::unreachable);
  error_of(lab.walback({"--json", "backup"}), ErrorKind::unreachable);
}
