#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <map>
#include <set>
#include <vector>

#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "lab/lab_processes.h"
#include "lab/lab_server.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/binaries.h"

/// docs/operations.md, "The primary is gone": every block of commands, in order, word by word, in a shell.
/// Only the values of its first block are this test's own.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

struct Block {
  std::string heading;  ///< "### 3. Restore"
  std::string commands;
};

std::vector<Block> blocks_of(const std::string& page) {
  const auto begin = page.find("\n## The primary is gone\n");
  REQUIRE(begin != std::string::npos);
  const auto end = page.find("\n## ", begin + 1);
  std::vector<Block> blocks;
  std::string heading;
  bool inside = false;
  for (const std::string_view line : split(std::string_view(page).substr(begin, end - begin), '\n')) {
    if (line.starts_with("### ")) heading = line;
    if (line == "```sh") blocks.push_back({heading, ""});
    if (inside && line != "```") blocks.back().commands += std::string(line) + "\n";
    inside = line == "```sh" || (inside && line != "```");
  }
  return blocks;
}

/// The first block with our values on the right: the names must be those of the page, all of them.
std::string with_values(const std::string& block, std::map<std::string, std::string> values) {
  std::string text;
  for (const std::string_view line : split(trim(block), '\n')) {
    const auto equals = line.find('=');
    REQUIRE(equals != std::string::npos);
    const std::string left(line.substr(0, equals));
    const auto value = values.extract(left);
    REQUIRE_MESSAGE(value, "the page has a value that this test does not know: " << left);
    text += left + "='" + value.mapped() + "'\n";
  }
  CHECK_MESSAGE(values.empty(), "the page no longer has " << (values.empty() ? "" : values.begin()->first));
  return text;
}

/// What the page starts, and this test stops: two servers, and walback on the new archive.
struct NewWorld {
  explicit NewWorld(const Path& home) : root(home / "new") {
    REQUIRE(real_file_system().create_directories(root / "s"));
  }
  ~NewWorld() {
    if (const auto found = walback_processes_on(config())) {
      for (const FoundProcess& each : *found) ::kill(each.process.pid, SIGTERM);
      static_cast<void>(wait_until([&] { return walback_processes_on(config())->empty(); }, 30s));
    }
    static_cast<void>(stop_server(standby()));
    static_cast<void>(stop_server(data()));
  }
  NewWorld(const NewWorld&) = delete;
  NewWorld& operator=(const NewWorld&) = delete;

  [[nodiscard]] Path data() const { return root / "primary"; }
  [[nodiscard]] Path standby() const { return root / "standby"; }
  [[nodiscard]] Path config() const { return root / "recovered.yaml"; }
  [[nodiscard]] Connection connect(std::uint16_t to) const {
    auto connection = Connection::open(
        fmt::format("host='{}' port={} user=postgres dbname=postgres", (root / "s").string(), to));
    REQUIRE_MESSAGE(connection, connection.error().message);
    return std::move(*connection);
  }
  [[nodiscard]] std::string value(std::uint16_t on, const std::string& sql) const {
    Connection connection = connect(on);
    const auto rows = connection.query(sql);
    REQUIRE_MESSAGE(rows, rows.error().message);
    return rows->text(0, 0);
  }
  [[nodiscard]] std::map<std::string, std::string> values(const LabFixture& lab) const {
    return {{"export WALBACK_CONFIG", lab.state().config().string()},
            {"DATA", data().string()},
            {"PORT", std::to_string(port)},
            {"LISTEN", "127.0.0.1"},
            {"NETWORK", "127.0.0.0/8"},
            {"SOCKETS", (root / "s").string()},
            {"BIN", find_binaries(BinarySearch{}).value().directory.string()},
            {"NEW_CONFIG", config().string()},
            {"NEW_ARCHIVE", (root / "archive").string()},
            {"STANDBY", standby().string()},
            {"STANDBY_PORT", std::to_string(standby_port)}};
  }

  Path root;
  std::uint16_t port = random_free_port().value();
  std::uint16_t standby_port = random_free_port().value();
};

std::string type(const std::string& values, const Block& block, const Path& directory) {
  const Path programs = Path(environment_variable("WALBACK").value()).parent_path();
  const std::string path = programs.string() + ":" + environment_variable("PATH").value_or("/usr/bin:/bin");
  const auto output = run({.program = "/bin/bash",
                           .arguments = {"-euc", values + block.commands},
                           .environment = {{"PATH", path}},
                           .working_directory = directory},
                          3min);
  REQUIRE_MESSAGE(output, block.commands << ": " << output.error().message);
  REQUIRE_MESSAGE(output->status.success(), block.heading << "\n"
                                                          << block.commands << "\nended with "
                                                          << to_string(output->status) << "\n"
                                                          << output->out << output->err);
  return output->out;
}

/// A load that waits for the capturer; in its midst the primary dies, and its disk with it.
void lose_the_primary(const LabFixture& lab) {
  lab.ask({"backup"});
  LoadSetup setup = lab.load_setup(4, 0);
  setup.rate = 500;
  BackgroundLoad load(setup);
  REQUIRE(wait_until([&] { return load.acknowledged() > 1'000; }, 60s));
  REQUIRE(kill_primary(lab.state()));
  REQUIRE(wipe_primary(lab.state()));
  load.request_stop();
  load.finish();
}

}  // namespace

TEST_CASE("operations: from a primary that is gone to a new one with an archive and a standby") {
  const auto page = real_file_system().read(environment_variable("WALBACK_OPERATIONS").value());
  REQUIRE_MESSAGE(page, page.error().message);
  const std::vector<Block> blocks = blocks_of(*page);
  REQUIRE(blocks.size() >= 9);
  LabFixture lab(LabOptions{.synchronous = true});
  const NewWorld world(lab.directory());
  lose_the_primary(lab);
  lab.kill_services();  // "stop `walback run`"

  const std::string values = with_values(blocks.front().commands, world.values(lab));
  std::set<std::string> headings;
  std::string said, ledger_rows;
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    headings.insert(blocks[i].heading);
    const std::string out = type(values, blocks[i], lab.directory());
    said += out;
    if (blocks[i].heading == "### 3. Restore") {
      CHECK(out.find("proven: recovered") != std::string::npos);
      // Every commit that a client was told of is there, and nothing else.
      const WalbackRun ledger = lab.walback({"--json", "verify", "--ledger", lab.ledger().string()});
      REQUIRE_MESSAGE(ledger.ok(), ledger.all());
      CHECK(ledger.json.at("cluster") == "recovered");
      CHECK(ledger.json.at("confirmed").get<int>() > 1'000);
      CHECK(ledger.json.at("later") == 0);
      CHECK(ledger.json.at("at_the_stop") == 0);
      ledger_rows = std::to_string(ledger.json.at("rows").get<int>());
    }
    if (blocks[i].heading == "### 6. A standby") {
      REQUIRE(wait_until(
          [&] {
            return world.value(world.port,
                               "SELECT string_agg(application_name || ' ' || state, ', ' ORDER BY "
                               "application_name) FROM "
                               "pg_stat_replication") == "walback_capture streaming, walreceiver streaming";
          },
          60s));
    }
  }
  CHECK(headings.size() == 6);
  CHECK(said.find("(another file)") != std::string::npos);
  CHECK(said.find("this primary is protected") != std::string::npos);

  // The new primary is one: it has everything, writes, and its standby follows.
  CHECK(world.value(world.port, "SELECT count(*) FROM test_data") == ledger_rows);
  REQUIRE(world.connect(world.port).execute("CREATE TABLE afterwards AS SELECT 42 AS answer"));
  REQUIRE(wait_until(
      [&] { return world.value(world.standby_port, "SELECT to_regclass('afterwards') IS NOT NULL") == "t"; },
      60s));
  CHECK(world.value(world.standby_port, "SELECT count(*) FROM test_data") == ledger_rows);
  // Nothing of the quarantine is left: no mark, no trust, durable writes.
  CHECK(!exists(real_file_system(), world.data() / "walback-restore.json"));
  CHECK(real_file_system().read(world.data() / "pg_hba.conf")->find("trust") == std::string::npos);
  CHECK(world.value(world.port,
                    "SELECT string_agg(name || ' ' || setting, ', ' ORDER BY name) FROM pg_settings WHERE "
                    "name IN ('fsync', 'full_page_writes', 'autovacuum', "
                    "'max_logical_replication_workers', 'restore_command', 'recovery_target_lsn')") ==
        "autovacuum on, fsync on, full_page_writes on, max_logical_replication_workers 4, "
        "recovery_target_lsn , "
        "restore_command ");
  // The old archive knows it no more, and is whole; the new one is whole too.
  CHECK(lab.ask({"clusters"}).empty());
  for (const Path& config : {lab.state().config(), world.config()}) {
    const auto verified = run({.program = lab.state().executable,
                               .arguments = {"-c", config.string(), "verify"},
                               .working_directory = lab.directory()},
                              2min);
    REQUIRE(verified);
    CHECK_MESSAGE(verified->status.success(), verified->out << verified->err);
  }
}

TEST_CASE("operations: a block is what stands between its fences, under its heading") {
  const auto blocks = blocks_of(
      "# Page\n\n## The primary is gone\n\ntext\n\n### 1. One\n```sh\na\n  b\n```\n```text\nno\n```\n### 2. "
      "Two\n```sh\nc\n"
      "```\n## Else\n```sh\nno\n```\n");
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].heading == "### 1. One");
  CHECK(blocks[0].commands == "a\n  b\n");
  CHECK(blocks[1].commands == "c\n");
}
