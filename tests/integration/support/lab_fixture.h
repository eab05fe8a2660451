#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "integration/support/throwaway_server.h"
#include "lab/ledger.h"
#include "lab/load.h"
#include "lab/local_lab.h"
#include "pg/connection.h"

/// A whole lab for one test: primary, standby, archive and `walback run`, below a fresh temporary directory.
namespace walback::test {

/// True as soon as `condition()` holds, false when it does not within `bound`.
template <class Condition>
[[nodiscard]] bool wait_until(const Condition& condition, std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// How one walback command ended. `json` is stdout, parsed, where `--json` was among the arguments and stdout
/// was JSON; null otherwise.
struct WalbackRun {
  int exit_code = 0;
  std::string out, err;
  Json json;
  [[nodiscard]] bool ok() const { return exit_code == 0; }
  /// Everything it said, for a failing check.
  [[nodiscard]] std::string all() const;
};

struct LabOptions {
  bool standby = false;
  bool capturing = true;
  bool synchronous = false;
  bool fsync = false;  ///< a test that pulls no plug need not wait for disks
  unsigned segment_size_mb = 16;
  /// Set on the primary before the test sees it (ALTER SYSTEM, then a restart).
  std::vector<std::pair<std::string, std::string>> settings{};
};

/// A lab that is up from construction to destruction, with everything gone at the end: servers, services,
/// restored clusters and the directory. Started by root it becomes `postgres` first, for good. The
/// environment's WALBACK names the executable. What fails in a helper fails the test, with the evidence.
class LabFixture {
 public:
  explicit LabFixture(const LabOptions& options = {});
  LabFixture(const LabFixture&) = delete;
  LabFixture& operator=(const LabFixture&) = delete;

  [[nodiscard]] const LabState& state() const { return state_; }
  [[nodiscard]] const Path& directory() const { return home_.path; }  ///< the test's own; the lab is in it
  [[nodiscard]] Path lab() const { return home_.path / "lab"; }
  [[nodiscard]] Path archive() const { return state_.archive(); }
  [[nodiscard]] Path ledger() const { return home_.path / "verification_log.json"; }

  /// `walback -c <the lab's walback.yaml> <arguments>`, to its end.
  [[nodiscard]] WalbackRun walback(const std::vector<std::string>& arguments,
                                   std::chrono::milliseconds timeout = std::chrono::minutes(3)) const;
  /// The same with `--json`; its answer. Another exit code than 0 fails the test.
  Json ask(const std::vector<std::string>& arguments) const;
  /// The command for a test that spawns, signals or kills it by itself.
  [[nodiscard]] Command command(const std::vector<std::string>& arguments) const;

  [[nodiscard]] Connection primary() const;
  /// In one implicit transaction on a fresh session.
  void execute(const std::string& sql) const;
  /// First column of the first row.
  [[nodiscard]] std::string value(const std::string& sql) const;

  /// A load on this primary into `ledger()`, not yet begun.
  [[nodiscard]] LoadSetup load_setup(int writers, double seconds) const;

  /// The archive holds everything that the primary has written up to now, and the catalog knows it.
  void wait_captured() const;

  /// kill -9 to `walback run` and its children, pg_receivewal too.
  void kill_services();
  /// `walback run` again; returns at once.
  void start_services();
  /// Whatever of the lab is not running, the primary included; returns when the capturer streams.
  void start_again();

  struct Restored {
    Path directory;
    std::uint16_t port = 0;
    Json proof;  ///< what `restore --json` answered
  };
  /// `walback --json restore <target> --into <fresh> --port <free>`; anything but success fails the test.
  Restored restore(const std::vector<std::string>& target);
  /// Through its private socket, as user postgres.
  [[nodiscard]] Connection connect(const Restored& cluster) const;
  void stop(const Restored& cluster) const;

 private:
  void restart_with(const std::vector<std::pair<std::string, std::string>>& settings);

  /// Cleans up after a constructor that failed, too.
  struct Home {
    Path path;
    ~Home();
  };
  Home home_;
  LabSetup setup_;
  LabState state_;
  int restores_ = 0;
};

/// run_load in a thread of its own. The destructor stops it.
class BackgroundLoad {
 public:
  explicit BackgroundLoad(const LoadSetup& setup);
  ~BackgroundLoad();
  BackgroundLoad(const BackgroundLoad&) = delete;
  BackgroundLoad& operator=(const BackgroundLoad&) = delete;

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.load(); }
  void request_stop() { stop_.request_stop(); }
  /// Waits for the end; an error fails the test.
  LoadFigures finish();

 private:
  std::stop_source stop_;
  std::atomic<std::uint64_t> acknowledged_{0};
  std::future<Result<LoadFigures>> result_;
};

}  // namespace walback::test
