#include "command/sync_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "command/command.h"
#include "pg/standby_names.h"
#include "sync/policy.h"

namespace walback {
namespace {

std::string duration(std::chrono::milliseconds value) {
  return render_duration_us(std::chrono::microseconds(value).count());
}

std::string since(const SyncReport& report) {
  const auto& at = report.note->fell_back_at;
  const std::string reason = report.note->reason.empty() ? "" : ": " + report.note->reason;
  return (at ? fmt::format(" since {}", to_rfc3339(*at)) : "") + reason;
}

/// Sees the primary when the receiver's machine is gone: over a socket or the loopback, or from elsewhere.
bool is_independent(const SynchronousWatcher& watcher, const SynchronousView& view) {
  if (watcher.client_address.empty() || watcher.client_address.starts_with("127.") ||
      watcher.client_address == "::1")
    return true;
  return std::none_of(view.receivers.begin(), view.receivers.end(), [&](const SynchronousReceiver& each) {
    return each.client_address == watcher.client_address;
  });
}

std::size_t live_watchers(const SynchronousView& view) {
  return static_cast<std::size_t>(
      std::count_if(view.watchers.begin(), view.watchers.end(), [](const SynchronousWatcher& watcher) {
        return watcher.silent_us < std::chrono::microseconds(kWatcherSilence).count();
      }));
}

std::string state_text(const SyncReport& report) {
  switch (report.state) {
    case SynchronousState::off:
      return "off: commits do not wait for the capturer";
    case SynchronousState::unwatched:
      return fmt::format("set by hand ('{}'): commits wait without a bound", report.view.names);
    case SynchronousState::waiting:
      return fmt::format("on: commits wait for the capturer, at most {}", duration(report.note->timeout));
    case SynchronousState::fallen_back:
      return "FALLEN BACK" + since(report);
    case SynchronousState::overridden:
      return fmt::format("on, but synchronous_standby_names was set to '{}' since", report.view.names);
  }
  return "";
}

}  // namespace

Result<SyncReport> take_sync_report(Connection& connection, const ArchiveContext* archive) {
  SyncReport report;
  report.view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
  report.note = TRY(parse_synchronous_note(report.view.note));
  report.state = synchronous_state(report.note, report.view.names, kReceiverName);
  report.was_on = archive != nullptr && synchronous_mode_was_on(archive->files, archive->layout);
  return report;
}

std::vector<SyncProblem> sync_problems(const SyncReport& report) {
  std::vector<SyncProblem> problems;
  const auto add = [&](std::string text, std::string mend, bool serious = true) {
    problems.push_back({std::move(text), std::move(mend), serious});
  };
  switch (report.state) {
    case SynchronousState::off:
      if (report.was_on)
        add("it was on for this archive, and the primary does not know of it: a failover, or a primary "
            "restored from before",
            "walback sync on, or walback sync off");
      return problems;
    case SynchronousState::unwatched:
      add(fmt::format("synchronous_standby_names is '{}' without a bound: a capturer that dies stops every "
                      "commit",
                      report.view.names),
          "walback sync on", false);
      return problems;
    case SynchronousState::fallen_back:
      add("commits do not wait for the capturer" + since(report),
          "walback status (it returns by itself when the capturer has caught up)");
      break;
    case SynchronousState::overridden:
      add(fmt::format("synchronous_standby_names was set to '{}' since it was switched on, expected '{}'",
                      report.view.names, report.note->names),
          "walback sync on, or walback sync off");
      break;
    case SynchronousState::waiting:
      break;
  }
  if (report.view.receivers.size() > 1)
    add(fmt::format("{} receivers call themselves {}: a commit waits for any of them, not for this archive",
                    report.view.receivers.size(), kReceiverName),
        "stop the capturers of the other archives, or walback sync off");
  if (!is_watched(report.view)) {
    add("nobody watches it: a capturer that dies stops every commit",
        "walback run, or walback sync watch on the primary's host");
  } else if (std::none_of(report.view.watchers.begin(), report.view.watchers.end(),
                          [&](const auto& watcher) { return is_independent(watcher, report.view); })) {
    add("only the capturer's machine watches it: without that machine, or the network to it, commits stop",
        "walback sync watch, on the primary's host", false);
  }
  return problems;
}

Json to_json(const SyncReport& report) {
  Json receivers = Json::array(), problems = Json::array();
  for (const SynchronousReceiver& receiver : report.view.receivers)
    receivers.push_back({{"state", receiver.state},
                         {"sync_state", receiver.sync_state},
                         {"flush_lsn", receiver.flush_lsn ? Json(to_string(*receiver.flush_lsn)) : Json()}});
  for (const SyncProblem& problem : sync_problems(report))
    problems.push_back({{"text", problem.text}, {"mend", problem.mend}, {"serious", problem.serious}});
  Json json{{"state", name_of(report.state)},
            {"synchronous_standby_names", report.view.names},
            {"primary_lsn", to_string(report.view.flush_lsn)},
            {"receivers", receivers},
            {"watchers", live_watchers(report.view)},
            {"waiting_commits", report.view.waiters.size()},
            {"problems", problems}};
  if (!report.note) return json;
  json["timeout_ms"] = report.note->timeout.count();
  json["names_when_off"] = report.note->fallback;
  json["fell_back_at"] = report.note->fell_back_at ? Json(to_rfc3339(*report.note->fell_back_at)) : Json();
  json["last_reason"] = report.note->reason;
  json["returned_at"] = report.note->returned_at ? Json(to_rfc3339(*report.note->returned_at)) : Json();
  json["quiet_ms"] = report.note->quiet.count();
  return json;
}

std::string headline(const SyncReport& report) {
  return "sync       " + state_text(report);
}

std::string to_text(const SyncReport& report) {
  std::string text = "synchronous mode is " + state_text(report) + "\n";
  for (const SyncProblem& problem : sync_problems(report))
    text += fmt::format("  !          {}\n             mend: {}\n", problem.text, problem.mend);
  if (report.state == SynchronousState::off) return text;
  text += fmt::format("  receiver   {}\n", describe_receiver(report.view, kReceiverName));
  text += fmt::format("  watched    by {}\n", count_of(live_watchers(report.view), "watcher"));
  text += fmt::format("  waiting    {} now\n", count_of(report.view.waiters.size(), "commit"));
  if (report.state == SynchronousState::fallen_back)
    text += fmt::format("  returns    when the receiver has kept up for {}\n", duration(report.note->quiet));
  return text;
}

}  // namespace walback
