#include "capture/receiver_supervisor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "os/system.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "capture";
/// With the disk full there is no hurry, and each try costs a segment's worth of zeros.
constexpr std::chrono::milliseconds kDiskFullPause{10'000};

std::string milliseconds_text(std::chrono::milliseconds value) {
  return std::to_string(value.count());
}

}  // namespace

void ReceiverSupervisor::stop() {
  if (!receiver_) return;
  receiver_->stop();
  log_lines();
  receiver_.reset();
  receiver_end_.reset();
  stall_.reset();
  status_.receivewal_pid.reset();
}

void ReceiverSupervisor::watch_progress(const PrimaryMonitor::Sight& sight) {
  // A look that was under way when this pg_receivewal was started does not know it.
  if (!receiver_ || sight.taken_us - receiver_->started_us() < 1'000'000) return;
  const auto& view = *sight.view;
  ReceiverObservation seen;
  seen.now_us = sight.taken_us;
  seen.attached = view.sender.has_value();
  seen.primary_flush_lsn = view.flush_lsn;
  if (view.sender) seen.write_lsn = view.sender->write_lsn;
  const auto verdict = stall_.observe(seen);
  if (verdict == StallDetector::Verdict::fine) return;
  const std::string what =
      verdict == StallDetector::Verdict::stalled
          ? fmt::format("pg_receivewal stands at {} while the primary has flushed {}",
                        seen.write_lsn ? to_string(*seen.write_lsn) : "nothing", to_string(view.flush_lsn))
          : fmt::format("pg_receivewal runs, but the primary has no walsender on slot '{}'", setup_.slot);
  setup_.log.warn(kArea, "receivewal_stuck",
                  {{key::error, what}, {key::pid, std::to_string(receiver_->pid())}, {"restarting", "true"}});
  status_.last_error = what;
  receiver_->stop();
  stall_.reset();
}

void ReceiverSupervisor::log_lines() {
  if (!receiver_) return;
  for (const auto& line : receiver_->take_lines()) {
    const bool harmless = classify_receivewal_line(line) == ReceivewalLine::information;
    setup_.log.write(harmless ? LogLevel::info : LogLevel::warn, kArea, "receivewal_line", {{"line", line}});
    note_line(receiver_end_, line);
  }
}

Status ReceiverSupervisor::watch() {
  log_lines();
  if (!receiver_) return {};
  const auto how = receiver_->ended();
  if (!how) return {};
  log_lines();
  return ended(*how);
}

Status ReceiverSupervisor::ended(ExitStatus how) {
  const auto ran = std::chrono::milliseconds((now_us() - receiver_->started_us()) / 1000);
  const auto end = std::exchange(receiver_end_, std::nullopt).value_or(ReceiverEnd{});
  receiver_.reset();
  stall_.reset();
  status_.receivewal_pid.reset();
  status_.last_error = end.line.empty() ? "pg_receivewal ended: " + to_string(how) : end.line;
  if (end.reason == ReceivewalLine::wal_removed) wal_refused_ = end.line;
  if (end.reason == ReceivewalLine::not_in_history) history_refused_ = end.line;
  disk_full_ = end.reason == ReceivewalLine::disk_full;
  auto wait = back_off_.next(ran, random_u64());
  if (disk_full_) wait = std::max(wait, kDiskFullPause);
  next_start_us_ = now_us() + wait.count() * 1000;
  if (ran >= BackOff::kHealthyTime) failing_.over();
  if (disk_full_ || end.reason == ReceivewalLine::wrong_partial_size ||
      end.reason == ReceivewalLine::not_permitted) {
    if (failing_.due(now_us())) {
      setup_.log.error(kArea, disk_full_ ? "disk_full" : "receivewal_refused",
                       {{key::error, end.line},
                        {key::hint, disk_full_ ? "Make room on the archive's file system; nothing of it is "
                                                 "deleted by itself, and capture goes on when there is room."
                                               : "Mend what the line names; pg_receivewal is tried again."}});
    }
  }
  setup_.log.warn(kArea, "receivewal_ended",
                  {{"how", to_string(how)},
                   {"ran_ms", milliseconds_text(ran)},
                   {"next_start_ms", milliseconds_text(wait)}});
  return {};
}

void ReceiverSupervisor::put_off(const Error& error) {
  status_.last_error = error.message;
  disk_full_ = error.kind == ErrorKind::disk_full;
  next_start_us_ = now_us() + back_off_.next({}, random_u64()).count() * 1000;
  if (failing_.due(now_us())) {
    setup_.log.error(kArea, "receivewal_not_started", {{key::error, error.message}, {key::hint, error.hint}});
  }
}

void ReceiverSupervisor::start(const std::string& primary, bool english, std::stop_token stop) {
  const auto directory = setup_.archive.epoch(status_.epoch);
  const auto completed = complete_padding(setup_.files, directory, guarded_.identity.segment_size, stop);
  if (!completed) return put_off(completed.error());
  for (const auto& name : *completed) {
    setup_.log.warn(kArea, "partial_completed",
                    {{key::path, (directory / name).string()},
                     {"why", "pg_receivewal was ended while it padded the file with zeros"}});
  }
  const auto conninfo = make_receiver_conninfo(primary, english);
  if (!conninfo) return put_off(conninfo.error());
  const auto command =
      receivewal_command({setup_.pg_receivewal, directory, *conninfo, setup_.slot, setup_.synchronous});
  auto started = Receiver::start(setup_.processes, command, now_us());
  if (!started) return put_off(started.error());
  status_.restarts = starts_++;
  receiver_ = std::move(*started);
  receiver_end_.reset();
  history_refused_.clear();
  wal_refused_.clear();
  stall_.reset();
  status_.receivewal_pid = receiver_->pid();
  setup_.log.info(kArea, "receivewal_started",
                  {{key::pid, std::to_string(receiver_->pid())}, {key::path, directory.string()}});
}

}  // namespace walback
