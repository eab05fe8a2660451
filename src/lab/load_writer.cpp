#include "lab/load_writer.h"

#include <algorithm>
#include <chrono>

#include "os/system.h"
#include "pg/load_queries.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBackOffLeast{50};
constexpr milliseconds kBackOffMost{1'000};
constexpr milliseconds kConnectTimeout{2'000};
/// A due time is waited for in steps of the scheduler's grain; what is lost is made up by the pace.
constexpr std::int64_t kGrainUs = 1'000;

std::int64_t monotonic_us() {
  return real_clock().monotonic_us();
}

double own_interval_us(const LoadSetup& setup) {
  return setup.every.value_or(0) * 1e6;
}

}  // namespace

LoadWriter::LoadWriter(LoadRun& run, int number, std::uint64_t seed)
    : run_(run),
      number_(number),
      random_(seed),
      own_pace_(run.start_us + static_cast<std::int64_t>(own_interval_us(run.setup) * number /
                                                         std::max(run.setup.writers, 1)),
                own_interval_us(run.setup)) {}

void LoadWriter::work() {
  const std::stop_token ended = run_.ended.get_token();
  while (!ended.stop_requested()) {
    if (!connection_) {
      if (const Status connected = connect(); !connected) {
        note(connected.error());
        back_off();
        continue;
      }
    }
    if (!wait_until_due()) break;
    if (const Status written = commit_one(); !written) {
      const std::lock_guard lock(run_.mutex);
      if (!run_.ledger_error) run_.ledger_error = written.error();
      run_.ended.request_stop();
    }
  }
  disconnect();
  finished_ = true;
}

bool LoadWriter::wait_until_due() {
  const std::stop_token ended = run_.ended.get_token();
  Pace& pace = run_.common_pace != nullptr ? *run_.common_pace : own_pace_;
  const std::int64_t due_us = pace.next_due_us(monotonic_us());
  while (!ended.stop_requested()) {
    const std::int64_t left_us = due_us - monotonic_us();
    if (left_us <= 0) return true;
    sleep_for(ended, milliseconds((left_us + kGrainUs - 1) / 1'000));
  }
  return false;
}

bool LoadWriter::back_off() {
  const milliseconds delay = std::min(kBackOffMost, kBackOffLeast * (1 << std::min(failures_in_row_, 6)));
  ++failures_in_row_;
  const double jitter = std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  return sleep_for(run_.ended.get_token(),
                   milliseconds(static_cast<std::int64_t>(static_cast<double>(delay.count()) * jitter)));
}

Status LoadWriter::connect() {
  ConnectionOptions options;
  options.application_name = "walback_load";
  options.connect_timeout = kConnectTimeout;
  options.statement_timeout = milliseconds(0);  // the run's end is the bound: cancel, then hang up
  Connection fresh = TRY(Connection::open(run_.setup.conninfo, options));
  {
    const std::lock_guard lock(mutex_);  // from here on the supervisor can hang up
    connection_.emplace(std::move(fresh));
  }
  const auto session = prepare_load_session(*connection_, run_.setup.synchronous_commit);
  if (!session) {
    disconnect();
    return tl::unexpected<Error>(session.error());
  }
  backend_pid_ = session->backend_pid;
  const std::lock_guard lock(mutex_);
  if (connected_before_) ++figures_.reconnects;
  connected_before_ = true;
  return {};
}

void LoadWriter::disconnect() {
  const std::lock_guard lock(mutex_);
  backend_pid_ = 0;
  connection_.reset();
}

void LoadWriter::interrupt() {
  const std::lock_guard lock(mutex_);
  if (connection_) connection_->interrupt();
}

Status LoadWriter::commit_one() {
  LedgerEntry entry;
  entry.id = run_.ids.next(real_clock().now().unix_us);
  entry.writer = number_;
  entry.sent_us = monotonic_us();
  const auto inserted = begin_and_insert(*connection_, {entry.id, number_, payload()});
  if (!inserted) return after_failed_insert(std::move(entry), inserted.error());

  entry.xid = inserted->xid;
  entry.created_at = inserted->created_at;
  entry.insert_lsn_before = inserted->insert_lsn;
  entry.sent_us = monotonic_us();
  TRY(run_.ledger.in_flight(
      entry));  // an error leaves with the transaction open; disconnecting rolls it back
  const auto committed = commit_and_look(*connection_, entry.xid);
  const std::int64_t answered_us = monotonic_us();

  if (!committed) {
    entry.state = LedgerState::in_doubt;
    entry.gave_up_us = answered_us;
    entry.problem = committed.error().message;
    note(committed.error());
    if (!connection_->alive() || !roll_back(*connection_)) disconnect();
    return record(entry);
  }
  entry.insert_lsn_after = committed->insert_lsn;
  entry.commit_time = committed->commit_time;
  entry.acknowledged_us = answered_us;
  if (!connection_->notices().empty()) {
    entry.state = LedgerState::in_doubt;
    entry.problem = connection_->notices().front().message;
  }
  entry.durable = entry.state == LedgerState::acknowledged && inserted->waits && committed->waits &&
                  commits_wait(*connection_).value_or(false);
  failures_in_row_ = 0;
  return record(entry);
}

/// No COMMIT was sent, so that the row cannot be there, whatever else went wrong.
Status LoadWriter::after_failed_insert(LedgerEntry entry, const Error& error) {
  const bool taken = connection_->sqlstate() == "23505";
  entry.state = LedgerState::failed;
  entry.problem = error.message;
  note(error);
  if (!connection_->alive() || !roll_back(*connection_)) disconnect();
  TRY(record(entry));
  if (taken) {
    run_.ids.change_salt(random_u64());
  } else {
    back_off();
  }
  return {};
}

Status LoadWriter::record(const LedgerEntry& entry) {
  TRY(run_.ledger.append(entry));
  const std::lock_guard lock(mutex_);
  switch (entry.state) {
    case LedgerState::acknowledged:
      ++figures_.acknowledged;
      if (entry.durable) ++figures_.durable;
      latencies_.add(*entry.acknowledged_us - entry.sent_us);
      break;
    case LedgerState::in_doubt:
      ++figures_.in_doubt;
      break;
    case LedgerState::failed:
      ++figures_.failed;
      break;
  }
  return {};
}

void LoadWriter::note(const Error& error) {
  const std::lock_guard lock(mutex_);
  figures_.last_error = error.message;
}

std::string LoadWriter::payload() {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  static_assert(kAlphabet.size() == 64);
  std::uniform_int_distribution<std::uint32_t> length(run_.setup.payload_least, run_.setup.payload_most);
  std::string text(length(random_), ' ');
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % 10 == 0) bits = random_();
    text[i] = kAlphabet[bits & 63];
    bits >>= 6;
  }
  return text;
}

void LoadWriter::add_to(LoadFigures& figures, Latencies& latencies) const {
  const std::lock_guard lock(mutex_);
  figures.acknowledged += figures_.acknowledged;
  figures.durable += figures_.durable;
  figures.in_doubt += figures_.in_doubt;
  figures.failed += figures_.failed;
  figures.reconnects += figures_.reconnects;
  figures.connected += connection_ ? 1 : 0;
  if (!figures_.last_error.empty()) figures.last_error = figures_.last_error;
  latencies.add(latencies_);
}

}  // namespace walback
