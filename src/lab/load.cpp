#include "lab/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "lab/load_writer.h"
#include "os/system.h"
#include "pg/load_queries.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using Writers = std::vector<std::unique_ptr<LoadWriter>>;

constexpr milliseconds kObserveEvery{250};
/// What an ordinary COMMIT gets to return in after the time is up; then it is cancelled, then hung up on.
constexpr milliseconds kCommitGrace{1'000};
constexpr milliseconds kCancelGrace{1'500};
constexpr milliseconds kPoll{10};
constexpr std::uint32_t kPayloadLimit = 1U << 20;
constexpr double kLongestSeconds = 366.0 * 86'400;

LoadFigures look(const Writers& writers, std::int64_t start_us) {
  LoadFigures figures;
  Latencies latencies;
  for (const auto& writer : writers) writer->add_to(figures, latencies);
  figures.elapsed_seconds = static_cast<double>(real_clock().monotonic_us() - start_us) / 1e6;
  if (figures.elapsed_seconds > 0) {
    figures.commits_per_second = static_cast<double>(figures.acknowledged) / figures.elapsed_seconds;
  }
  figures.latency_p50_us = latencies.quantile_us(0.5);
  figures.latency_p99_us = latencies.quantile_us(0.99);
  figures.latency_max_us = latencies.quantile_us(1.0);
  return figures;
}

bool all_finished(const Writers& writers) {
  return std::all_of(writers.begin(), writers.end(), [](const auto& writer) { return writer->finished(); });
}

bool finished_within(const Writers& writers, milliseconds time) {
  const std::int64_t deadline_us = real_clock().monotonic_us() + time.count() * 1'000;
  while (!all_finished(writers)) {
    if (real_clock().monotonic_us() >= deadline_us) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

/// Cancels what still waits: a COMMIT then returns with a warning, and its session knows that it is in doubt.
/// Best effort; a server that does not answer here is hung up on next.
void cancel_all(const LoadSetup& setup, const Writers& writers) {
  ConnectionOptions options;
  options.application_name = "walback_load";
  options.connect_timeout = kCancelGrace;
  options.statement_timeout = milliseconds(500);
  auto connection = Connection::open(setup.conninfo, options);
  if (!connection) return;
  for (const auto& writer : writers) {
    const int pid = writer->finished() ? 0 : writer->backend_pid();
    if (pid != 0 && !cancel_statement(*connection, pid)) return;
  }
}

void end_writers(const LoadSetup& setup, const Writers& writers) {
  if (finished_within(writers, kCommitGrace)) return;
  // In a thread of its own: a paused server would keep it past the time at which we hang up.
  std::jthread canceller([&] { cancel_all(setup, writers); });
  if (finished_within(writers, kCancelGrace)) return;
  // Again and again: a session may have been opened since.
  do {
    for (const auto& writer : writers) writer->interrupt();
  } while (!finished_within(writers, kPoll));
}

Status create_table(const LoadSetup& setup) {
  ConnectionOptions options;
  options.application_name = "walback_load";
  Connection connection = TRY(Connection::open(setup.conninfo, options));
  return create_load_table(connection);
}

}  // namespace

Status check_load_setup(const LoadSetup& setup) {
  const auto refuse = [](std::string message) { return fail(ErrorKind::usage, std::move(message)); };
  const auto sensible = [](double value) { return std::isfinite(value) && value > 0; };
  if (setup.writers < 1 || setup.writers > kMaxLedgerWriters) {
    return refuse(
        fmt::format("{} writers are asked for, expected 1 to {}", setup.writers, kMaxLedgerWriters));
  }
  if (setup.seconds != 0 && (!sensible(setup.seconds) || setup.seconds > kLongestSeconds)) {
    return refuse(fmt::format("{} seconds are asked for, expected 0 (until stopped) to {:.0f}", setup.seconds,
                              kLongestSeconds));
  }
  if (setup.rate && setup.every) {
    return refuse("a rate and an interval are both asked for, expected one of them");
  }
  if (setup.rate && !sensible(*setup.rate)) {
    return refuse(
        fmt::format("a rate of {} commits a second is asked for, expected more than 0", *setup.rate));
  }
  if (setup.every && (!sensible(*setup.every) || *setup.every > 86'400)) {
    return refuse(
        fmt::format("an interval of {} s is asked for, expected more than 0, at most 86400", *setup.every));
  }
  if (setup.payload_least > setup.payload_most || setup.payload_most > kPayloadLimit) {
    return refuse(fmt::format("a payload of {} to {} bytes is asked for, expected a range up to {}",
                              setup.payload_least, setup.payload_most, kPayloadLimit));
  }
  if (setup.ledger.empty()) return refuse("no ledger is named");
  return {};
}

Result<LoadFigures> run_load(const LoadSetup& setup, const LoadObserver& observer, std::stop_token stop) {
  TRY(check_load_setup(setup));
  LedgerWriter ledger = TRY(LedgerWriter::open(setup.ledger));
  TRY(create_table(setup));

  const std::int64_t start_us = real_clock().monotonic_us();
  RowIds ids(random_u64());
  Pace common_pace(start_us, Pace::interval_of_rate(setup.rate.value_or(0)));
  LoadRun run{setup, ledger, ids, setup.rate ? &common_pace : nullptr, start_us, {}, {}, {}};
  const std::uint64_t seed = setup.seed.value_or(random_u64());
  Writers writers;
  for (int i = 0; i < setup.writers; ++i) {
    writers.push_back(std::make_unique<LoadWriter>(run, i, seed + static_cast<std::uint64_t>(i)));
  }
  {
    std::vector<std::jthread> threads;
    for (const auto& writer : writers) threads.emplace_back([&writer] { writer->work(); });
    const std::int64_t end_us =
        setup.seconds > 0 ? start_us + static_cast<std::int64_t>(setup.seconds * 1e6) : INT64_MAX;
    while (!stop.stop_requested() && !all_finished(writers)) {
      const std::int64_t left_us = end_us - real_clock().monotonic_us();
      if (left_us <= 0) break;
      sleep_for(stop, milliseconds(std::min<std::int64_t>(kObserveEvery.count(), left_us / 1'000 + 1)));
      if (observer) observer(look(writers, start_us));
    }
    run.ended.request_stop();
    end_writers(setup, writers);
  }
  const LoadFigures figures = look(writers, start_us);
  if (run.ledger_error) return tl::unexpected<Error>(*run.ledger_error);
  TRY(ledger.close());
  return figures;
}

}  // namespace walback
