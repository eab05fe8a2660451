#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// The load generator: N sessions that insert into `test_data` and write down what they were told.
struct LoadSetup {
  std::string conninfo;
  int writers = 1;                   ///< 1 to kMaxLedgerWriters
  double seconds = 10;               ///< 0: until stopped
  std::optional<double> rate;        ///< commits a second, of all writers together
  std::optional<double> every;       ///< seconds between two commits of one writer; not with `rate`
  std::uint32_t payload_least = 32;  ///< bytes of random text
  std::uint32_t payload_most = 256;
  std::string synchronous_commit = "on";
  Path ledger;
  std::optional<std::uint64_t> seed;  ///< of the payloads; else random
};
[[nodiscard]] Status check_load_setup(const LoadSetup& setup);

/// What happened so far. A commit is counted once: acknowledged, in doubt, or failed (the insert itself).
struct LoadFigures {
  double elapsed_seconds = 0;
  std::uint64_t acknowledged = 0, durable = 0, in_doubt = 0, failed = 0;
  std::uint64_t reconnects = 0;
  int connected = 0;
  double commits_per_second = 0;  ///< acknowledged, over the whole run
  std::int64_t latency_p50_us = 0, latency_p99_us = 0, latency_max_us = 0;
  std::string last_error;  ///< the newest failure of any writer; empty when there was none
};
using LoadObserver = std::function<void(const LoadFigures&)>;

/// The longest that a run goes on after its time is up, against a server that hangs.
inline constexpr std::chrono::seconds kLoadEnding{6};

/// Runs until the time is up or a stop is requested (which is no error: the figures are returned), and ends
/// within kLoadEnding of it: a COMMIT that still waits for its receiver then is cancelled (in doubt), a
/// session that does not answer is hung up on (in doubt). While it runs nothing is given up: a primary that
/// goes away is sought again with back-off, and one that is paused is waited for, as an application would.
/// `observer` is called from the calling thread a few times a second.
/// Errors: the primary cannot be reached at the start; the ledger cannot be written (the run ends at once: a
/// commit that nobody writes down is worse than none).
[[nodiscard]] Result<LoadFigures> run_load(const LoadSetup& setup, const LoadObserver& observer,
                                           std::stop_token stop);

}  // namespace walback
