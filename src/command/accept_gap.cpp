#include "command/accept_gap.h"

#include <fmt/format.h>

#include <iostream>

#include "archive/gap_impact.h"
#include "archive/gaps.h"
#include "archive/known_cluster.h"
#include "capture/epochs.h"
#include "capture/slot_repair.h"
#include "catalog/held_wal.h"
#include "catalog/journal.h"
#include "command/row_json.h"
#include "command/session.h"
#include "command/status_report.h"
#include "os/crash_point.h"
#include "os/system.h"
#include "pg/find_primary.h"
#include "pg/server.h"

namespace walback {
namespace {

/// The capturer of `walback run` comes and goes while it cannot go on; it holds its lock for a second or two.
constexpr std::chrono::milliseconds kLockPatience{20'000}, kLockPoll{100};

/// What there is to accept.
struct Found {
  std::vector<GapImpact> known;  ///< gaps in what was captured, not accepted yet
  SlotRepair repair;
  PrimaryView view;
  std::optional<GapRow> ahead;  ///< what will be missing once capture goes on; `to` is not exact yet
  [[nodiscard]] bool nothing() const { return known.empty() && repair.why.empty(); }
};

Result<PrimaryView> look(const ArchiveSession& session, std::optional<Connection>& connection) {
  PrimaryView view;
  const PrimaryChoice primary =
      TRY(find_primary(session.config.primary.conninfo, TRY(known_cluster(session.archive))));
  connection = TRY(Connection::open(primary.host.conninfo));
  view.host = primary.host;
  view.history = primary.server.history;
  view.system_identifier = primary.server.system_identifier;
  TRY(ask_about_wal(*connection, session.config.primary.slot, view));
  return view;
}

Result<GuardedArchive> guarded(const ArchiveSession& session) {
  const ArchiveContext& archive = session.archive;
  GuardedArchive made{archive.identity, archive.layout.root, session.config.primary.slot, 1, {}, {}};
  made.epoch = TRY(open_newest_epoch(archive.files, archive.layout));
  const auto resume =
      resume_point(TRY(archive.files.list(archive.layout.epoch(made.epoch))), archive.identity.segment_size);
  if (resume) {
    made.newest_lsn = resume->lsn;
    made.newest_timeline = resume->timeline;
    return made;
  }
  // Accepted up to there, and nothing was captured behind it yet: from there on nothing may be missing.
  for (const GapRow& gap : TRY(session.catalog.gaps())) {
    const auto newest = TRY(session.catalog.newest_segment(gap.timeline));
    if (!gap.accepted || !newest || newest->valid_end_lsn >= gap.to) continue;
    made.newest_lsn = gap.to;
    made.newest_timeline = gap.timeline;
  }
  return made;
}

Result<Found> find(const ArchiveSession& session, std::optional<Connection>& connection) {
  Found found;
  for (GapImpact& impact : TRY(gap_impacts(session.catalog)))
    if (!impact.gap.accepted) found.known.push_back(std::move(impact));
  found.view = TRY(look(session, connection));
  found.repair = TRY(plan_slot_repair(found.view, TRY(guarded(session))));
  if (found.repair.wal_is_gone) {
    const Lsn next = found.repair.make_slot ? found.view.flush_lsn : *found.view.slot->restart_lsn;
    found.ahead = TRY(
        gap_up_to(session.catalog, found.view.history.timeline, next, session.archive.identity.segment_size));
  }
  return found;
}

Result<std::string> what_is_lost(const ArchiveSession& session, const Found& found) {
  std::string text;
  for (const GapImpact& impact : found.known)
    text += fmt::format("gap on timeline {}: {}; {}\n", impact.gap.timeline.value, impact.gap.reason,
                        describe(impact));
  if (found.repair.why.empty()) return text;
  text += found.repair.why + ": ";
  if (!found.repair.wal_is_gone)
    return text + "it is made anew, and nothing is lost: the primary still has the WAL that comes next\n";
  if (!found.ahead) return text + "what follows the captured WAL is lost, up to where capture goes on\n";
  const auto last =
      TRY(session.catalog.last_end_before({found.ahead->timeline, {}, found.ahead->from}, false));
  const auto backups = TRY(session.catalog.backups());
  GapImpact impact = judge_gaps({*found.ahead}, backups, {}).front();
  if (last) impact.last_before = last->time;
  return text + describe(impact) + "\n";
}

/// Aloud: on a terminal by typing it, in a script by --yes.
Status ask(Context& context, const std::string& lost, bool yes) {
  if (yes) return {};
  if (context.json || !is_terminal(0) || !is_terminal(2))
    return fail(ErrorKind::usage, "nothing was accepted: " + lost.substr(0, lost.find('\n')),
                "This cannot be undone, so it wants to be said: run it on a terminal, or with --yes.");
  std::fputs((lost + "This cannot be undone. Type yes to accept it: ").c_str(), stderr);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "yes") return {};
  return fail(ErrorKind::interrupted, "nothing was accepted, and nothing was changed",
              "Run it again when you are sure.");
}

Result<FileLock> capturers_lock(Context& context, const ArchiveLayout& layout) {
  const std::int64_t deadline_us =
      context.clock->monotonic_us() + std::chrono::microseconds(kLockPatience).count();
  while (true) {
    auto lock = FileLock::take(layout.lock("capture"), "the capturer");
    if (lock || lock.error().kind != ErrorKind::conflict) return lock;
    if (context.clock->monotonic_us() >= deadline_us || !sleep_for(context.stop, kLockPoll)) return lock;
  }
}

/// The gap as it is accepted: the slot's own beginning is known now.
Status record_ahead(Context& context, ArchiveSession& session, const Found& found, Lsn begins) {
  const ArchiveContext& archive = session.archive;
  auto gap =
      TRY(gap_up_to(session.catalog, found.view.history.timeline, begins, archive.identity.segment_size));
  if (gap) {
    gap->reason = found.repair.why;
    gap->detected_at = context.clock->now();
    TRY(record_accepted_gap(archive.files, archive.layout, session.catalog, context.clock->now(), *gap));
  }
  crash_point("accept_gap.recorded");
  TRY(open_epoch(archive.files, archive.layout, context.clock->now(),
                 fmt::format("a gap was accepted before {}: {}", to_string(begins), found.repair.why)));
  return {};
}

/// While a person thought about it, another may have mended it, and the slot may be a good one by now.
Status refuse_what_changed(const ArchiveSession& session, const Found& found) {
  std::optional<Connection> connection;
  const PrimaryView view = TRY(look(session, connection));
  if (TRY(plan_slot_repair(view, TRY(guarded(session)))) == found.repair) return {};
  return fail(ErrorKind::conflict,
              fmt::format("replication slot '{}' is no longer as it was when it was looked at",
                          session.config.primary.slot),
              "Nothing was done to it. Run it again: it says what there is to accept now.");
}

/// Slot, journal, epoch: each step is found done when this is repeated.
Result<Lsn> repair(Context& context, ArchiveSession& session, const Found& found, Connection& connection) {
  const FileLock lock = TRY(capturers_lock(context, session.archive.layout));
  TRY(refuse_what_changed(session, found));
  const std::string& slot = session.config.primary.slot;
  if (found.repair.drop_first) TRY(drop_slot(connection, slot));
  const Lsn restart =
      found.repair.make_slot ? TRY(create_slot(connection, slot)) : *found.view.slot->restart_lsn;
  crash_point("accept_gap.slot_made");
  const Lsn begins = capture_begins(restart, session.archive.identity.segment_size);
  if (found.repair.wal_is_gone) TRY(record_ahead(context, session, found, begins));
  return begins;
}

std::string what_next(const ArchiveSession& session) {
  return service_runs(session.archive.layout, "run")
             ? "walback run goes on by itself, within a minute; then run walback backup: protection begins "
               "again with it\n"
             : "next: walback run, then walback backup: protection begins again with it\n";
}

}  // namespace

Status accept_gap(Context& context, bool yes) {
  ArchiveSession session = TRY(open_fresh_archive(context));
  std::optional<Connection> connection;
  const Found found = TRY(find(session, connection));
  Json accepted = Json::array();
  const auto answer = [&](const std::string& text) {
    context.answer({{"accepted", accepted},
                    {"slot_created", found.repair.make_slot},
                    {"epoch_opened", found.repair.wal_is_gone}},
                   text);
  };
  if (found.nothing()) {
    answer("there is no gap to accept: capture goes on where it ended\n");
    return {};
  }
  const std::string lost = TRY(what_is_lost(session, found));
  TRY(ask(context, lost, yes));

  for (const GapImpact& impact : found.known) {
    TRY(record_accepted_gap(session.archive.files, session.archive.layout, session.catalog,
                            context.clock->now(), impact.gap));
    accepted.push_back(to_json(impact.gap));
  }
  std::string text = lost + "accepted\n";
  if (!found.repair.why.empty()) {
    const Lsn begins = TRY(repair(context, session, found, *connection));
    if (found.repair.make_slot) text += fmt::format("slot '{}' was made anew\n", session.config.primary.slot);
    if (found.repair.wal_is_gone)
      text += fmt::format("capture goes on at {}, in a new epoch\n", to_string(begins));
    for (const GapRow& gap : TRY(session.catalog.gaps()))
      if (gap.accepted && found.ahead && gap.from == found.ahead->from) accepted.push_back(to_json(gap));
  }
  answer(text + what_next(session));
  return {};
}

}  // namespace walback
