#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>

#include "lab/ledger.h"
#include "lab/load.h"
#include "lab/pace.h"
#include "pg/connection.h"

namespace walback {

/// What the writers of one run share.
struct LoadRun {
  const LoadSetup& setup;
  LedgerWriter& ledger;
  RowIds& ids;
  Pace* common_pace = nullptr;  ///< with a total rate
  std::int64_t start_us = 0;
  std::stop_source ended;  ///< no new commit is begun
  std::mutex mutex;        ///< guards what follows
  std::optional<Error> ledger_error;
};

/// One writer: a session, a thread's loop, its figures.
class LoadWriter {
 public:
  LoadWriter(LoadRun& run, int number, std::uint64_t seed);

  /// The thread's body; returns when the run has ended.
  void work();

  // For the supervising thread.
  void add_to(LoadFigures& figures, Latencies& latencies) const;
  [[nodiscard]] bool finished() const { return finished_.load(); }
  /// Of the session, while there is one; 0 otherwise.
  [[nodiscard]] int backend_pid() const { return backend_pid_.load(); }
  /// Hangs up: whatever waits for an answer returns.
  void interrupt();

 private:
  [[nodiscard]] Status connect();
  void disconnect();
  [[nodiscard]] Status commit_one();
  [[nodiscard]] bool wait_until_due();
  [[nodiscard]] Status after_failed_insert(LedgerEntry entry, const Error& error);
  /// Doubles with each failure in a row, and differs between writers; false when the run ended meanwhile.
  bool back_off();
  [[nodiscard]] Status record(const LedgerEntry& entry);
  void note(const Error& error);
  [[nodiscard]] std::string payload();

  LoadRun& run_;
  const int number_;
  std::mt19937_64 random_;
  Pace own_pace_;
  int failures_in_row_ = 0;
  mutable std::mutex mutex_;  ///< guards connection_'s coming and going, figures_, latencies_
  std::optional<Connection> connection_;
  bool connected_before_ = false;
  LoadFigures figures_;
  Latencies latencies_;
  std::atomic<int> backend_pid_{0};
  std::atomic<bool> finished_{false};
};

}  // namespace walback
