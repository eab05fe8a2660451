#include "restore/run.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "base/text.h"
#include "os/crash_point.h"
#include "os/process.h"
#include "os/system.h"
#include "restore/feeder.h"
#include "restore/finish.h"
#include "restore/lay_base.h"
#include "restore/restored_server.h"
#include "restore/switch_segments.h"
#include "restore/verify_base.h"
#include "restore/watch_replay.h"

namespace walback {
namespace {

/// pg_checksums names every bad page: some are enough.
std::string first_lines(std::string_view text) {
  constexpr std::size_t kMost = 5;
  std::vector<std::string> lines;
  const auto all = split(trim(text), '\n');
  for (const std::string_view line : all) {
    if (lines.size() < kMost) lines.emplace_back(trim(line));
  }
  if (all.size() > kMost) lines.push_back(fmt::format("and {} more lines", all.size() - kMost));
  return join(lines, "; ");
}

/// One restore, phase after phase. Its destructor is the promise that no server is left running after a
/// failure.
class Restore {
 public:
  Restore(const RestoreSetup& setup, Progress& progress, std::stop_token stop)
      : setup_(setup),
        progress_(progress),
        stop_(std::move(stop)),
        layout_{setup.place.directory},
        finish_{setup.files, setup.clock, layout_, setup.superusers, setup.config.hba} {}

  ~Restore() {
    if (kept_ || !server_) return;
    if (const auto stopped = server_->stop("immediate"); !stopped) {
      setup_.log.error("restore", "server_left_running",
                       {{key::path, layout_.data.string()}, {key::error, stopped.error().message}});
    }
  }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

  Result<Proof> run() {
    const auto lock = TRY(take_place());
    TRY(lay_base());
    const ReplayEnd end = TRY(recover());
    TRY(finish_verification());
    crash_point("restore.base_verified");
    if (end == ReplayEnd::promoted || (!setup_.pause && proof_.holds())) {
      TRY(promote());
    } else if (proof_.holds()) {
      TRY(keep_paused(finish_, *server_, proof_, stop_));
    }
    if (setup_.check_pages && proof_.holds() && proof_.stage == ProofStage::promoted) TRY(check_pages());
    TRY(conclude());
    return proof_;
  }

  /// A server that ends for want of room says so in its log alone, in its own language.
  [[nodiscard]] bool ran_out_of_room(const Error& error) const {
    if (!server_ || error.kind == ErrorKind::interrupted) return false;
    const auto space = setup_.files.space(layout_.data);
    return server_->last_words(setup_.files).find("No space left on device") != std::string::npos ||
           (space && space->available_bytes < setup_.plan.identity.segment_size.bytes());
  }

 private:
  Result<FileLock> take_place();
  Result<PlaceReport> look_at_place() {
    return check_place(setup_.files, setup_.plan, setup_.archive, setup_.place, setup_.configured_bin,
                       setup_.config.settings);
  }
  Status wipe_unfinished(const PlaceReport& report);
  Status lay_base();
  Result<ReplayEnd> recover();
  Status finish_verification();
  Status promote();
  Status check_pages();
  Status conclude();
  Status enter(RestorePhase phase);

  const RestoreSetup& setup_;
  Progress& progress_;
  std::stop_token stop_;
  RestoredLayout layout_;
  FinishSetup finish_;
  PlaceReport place_;
  RestoreMarker marker_;
  Proof proof_{expectation_of(setup_.plan)};
  std::optional<BaseVerification> verification_;
  std::optional<RestoredServer> server_;
  bool kept_ = false;
};

Status Restore::enter(RestorePhase phase) {
  marker_.phase = phase;
  return write_marker(setup_.files, layout_, marker_);
}

Result<FileLock> Restore::take_place() {
  place_ = TRY(look_at_place());
  TRY(setup_.files.create_directories(layout_.data));
  crash_point("restore.directory_made");
  FileLock lock =
      TRY(FileLock::take_directory(layout_.data, fmt::format("a restore into '{}'", layout_.data.string())));
  // Asked again under the lock: another restore may have begun and ended in between.
  place_ = TRY(look_at_place());
  if (place_.occupancy == Occupancy::unfinished) TRY(wipe_unfinished(place_));
  return lock;
}

Status Restore::wipe_unfinished(const PlaceReport& report) {
  setup_.say(fmt::format("'{}' holds an unfinished restore ({}, phase {}): it is wiped and begun again",
                         layout_.data.string(), report.unfinished->name, name_of(report.unfinished->phase)));
  RestoredServer left(report.binaries, layout_, report.unfinished->port, report.unfinished->socket_directory);
  TRY(left.stop("immediate"));
  for (const Path& directory : claimed_directories(report.unfinished->tablespaces)) {
    TRY(release_directory(setup_.files, directory, layout_.data));
  }
  // The marker goes last: a crash in between leaves a directory that is still known as ours.
  for (const DirectoryEntry& entry : TRY(setup_.files.list(layout_.data))) {
    const Path path = layout_.data / entry.name;
    if (path != layout_.marker()) TRY(setup_.files.remove_tree(path));
    crash_point("restore.entry_wiped");
  }
  return {};
}

Status Restore::lay_base() {
  marker_ = {.phase = RestorePhase::laying_base,
             .name = setup_.name,
             .pid = ::getpid(),
             .pid_start_ticks = process_start_ticks(::getpid()).value_or(0),
             .started_at = setup_.clock.now(),
             .port = setup_.place.port,
             .socket_directory = layout_.socket_directory().string(),
             .target = to_string(setup_.plan.target),
             .plan = to_json(setup_.plan),
             .expected = to_json(proof_.expected),
             .tablespaces = place_.tablespaces};
  TRY(write_marker(setup_.files, layout_, marker_));
  crash_point("restore.marked");
  proof_.name = setup_.name;
  proof_.directory = layout_.data.string();
  proof_.target = marker_.target;
  proof_.port = setup_.place.port;
  proof_.backup_id = setup_.plan.backup.id;
  proof_.tablespaces = place_.tablespaces;
  proof_.base_bytes = setup_.plan.backup.size_bytes;
  proof_.wal_bytes = setup_.plan.wal_bytes;
  proof_.wal_segments = setup_.plan.segment_count;
  for (const PlanWarning& warning : setup_.plan.warnings) proof_.warnings.push_back(warning.message);

  verification_ = TRY(
      BaseVerification::begin(setup_.files, place_.binaries, setup_.archive.backup(setup_.plan.backup.id)));
  PhaseWatch watch(setup_.clock, proof_.timings);
  watch.next("base");
  const BaseInput input{.files = setup_.files,
                        .from = setup_.archive.backup(setup_.plan.backup.id),
                        .layout = layout_,
                        .plan = setup_.plan,
                        .control = place_.control,
                        .binaries = place_.binaries,
                        .config = setup_.config,
                        .fetch_program = setup_.fetch_program,
                        .port = setup_.place.port,
                        .tablespaces = place_.tablespaces,
                        .missing_libraries = place_.missing_libraries};
  proof_.dropped_settings = TRY(walback::lay_base(input, progress_, stop_));
  TRY(lay_switch_segments(setup_.files, setup_.plan, setup_.archive, layout_.data));
  for (const std::string& dropped : proof_.dropped_settings) {
    setup_.log.info("restore", "setting_not_taken_over", {{"setting", dropped}});
  }
  watch.end();
  return {};
}

Result<ReplayEnd> Restore::recover() {
  TRY(enter(RestorePhase::recovering));
  PhaseWatch watch(setup_.clock, proof_.timings);
  watch.next("replay");
  Feeder feeder({.files = setup_.files,
                 .archive = setup_.archive,
                 .plan = setup_.plan,
                 .spool = layout_.spool(),
                 .checksum_of = setup_.checksum_of,
                 .on_damage = setup_.on_damage});
  TRY(feeder.start());
  server_.emplace(place_.binaries, layout_, setup_.place.port, marker_.socket_directory);
  TRY(server_->start());
  crash_point("restore.server_started");
  const ReplayWatch replay{.files = setup_.files,
                           .clock = setup_.clock,
                           .layout = layout_,
                           .plan = setup_.plan,
                           .superusers = setup_.superusers,
                           .feeder = feeder};
  const ReplayEnd end = TRY(watch_replay(replay, *server_, progress_, stop_));
  crash_point("restore.stop_reached");
  progress_.finish();
  proof_.reached.promoted_without_pause = end == ReplayEnd::promoted;
  if (end == ReplayEnd::promoted) {
    proof_.warnings.push_back(fmt::format(
        "PostgreSQL promoted without a pause, because hot standby could not start; the switch point is the "
        "proof{}",
        setup_.pause ? "; --pause was not possible" : ""));
    return end;
  }
  Connection connection = TRY(server_->connect(setup_.superusers));
  TRY(ask_while_paused(connection, proof_.expected, proof_.reached));
  proof_.compare(ProofStage::paused);
  return end;
}

Status Restore::finish_verification() {
  PhaseWatch watch(setup_.clock, proof_.timings);
  watch.next("verify");
  const Status verified = verification_->finish(progress_, stop_);
  progress_.finish();
  verification_.reset();
  if (verified || verified.error().kind != ErrorKind::corrupt) return verified;
  if (setup_.on_backup_damage) setup_.on_backup_damage(verified.error().message);
  return fail(ErrorKind::corrupt,
              fmt::format("base backup '{}' is not what was taken: {}", setup_.plan.backup.id,
                          verified.error().message),
              "The archive's disk changed it; `walback plan` names what can be reached without it.");
}

Status Restore::promote() {
  TRY(enter(RestorePhase::finishing));
  return promote_and_make_durable(finish_, *server_, proof_, stop_);
}

Status Restore::check_pages() {
  PhaseWatch watch(setup_.clock, proof_.timings);
  watch.next("check_pages");
  if (!place_.control.data_checksums) {
    proof_.warnings.emplace_back("pages were not checked: the cluster has no data checksums");
    return {};
  }
  TRY(server_->stop("fast"));
  const Output output = TRY(walback::run({.program = place_.binaries.program("pg_checksums"),
                                          .arguments = {"--check", "-D", layout_.data.string()}},
                                         std::chrono::hours{24}, stop_));
  if (!output.status.success()) {
    return fail(ErrorKind::corrupt,
                fmt::format("pg_checksums of '{}': {}", layout_.data.string(), first_lines(output.err)),
                "The base backup may be damaged: look at its age, and restore from another one.");
  }
  TRY(server_->start());
  const auto deadline_us = setup_.clock.monotonic_us() + 60'000'000;
  while (!server_->connect(setup_.superusers)) {
    if (!server_->running() || setup_.clock.monotonic_us() > deadline_us) {
      return fail(ErrorKind::unavailable, "the restored server did not come back after the page check: " +
                                              server_->last_words(setup_.files));
    }
    if (!sleep_for(stop_, std::chrono::milliseconds{20})) {
      return fail(ErrorKind::interrupted, "the restore was interrupted after its page check",
                  "Start it again; it begins anew.");
    }
  }
  watch.end();
  return {};
}

Status Restore::conclude() {
  TRY(publish_proof_and_release(finish_, *server_, proof_));
  if (!proof_.holds()) return {};
  const bool paused = proof_.stage == ProofStage::paused;
  TRY(enter(paused ? RestorePhase::paused : RestorePhase::complete));
  kept_ = true;
  crash_point("restore.completed");
  // A paused one that is started again replays once more, and asks walback-fetch what it had been handed.
  if (paused) return {};
  if (const Status removed = setup_.files.remove_tree(layout_.spool()); !removed) {
    setup_.log.warn("restore", "spool_left",
                    {{key::path, layout_.spool().string()}, {key::error, removed.error().message}});
  }
  crash_point("restore.spool_removed");
  return {};
}

}  // namespace

Result<Proof> run_restore(const RestoreSetup& setup, Progress& progress, std::stop_token stop) {
  if (!setup.plan.expected_end) {
    return fail(ErrorKind::internal, "the plan's stop was not settled before the restore");
  }
  Restore restore(setup, progress, std::move(stop));
  auto proof = restore.run();
  if (!proof && restore.ran_out_of_room(proof.error())) {
    return fail(
        ErrorKind::disk_full, proof.error().message,
        fmt::format("Make room on the file system of '{}', then run the same command again: it begins anew.",
                    setup.place.directory.string()));
  }
  return proof;
}

}  // namespace walback
