#include <fmt/format.h>

#include "backup/backup_files.h"
#include "base/text.h"
#include "catalog/verified_journal.h"
#include "command/assurance.h"
#include "command/commands.h"
#include "command/drill_checks.h"
#include "command/restore_setup.h"
#include "command/target_options.h"
#include "lab/lab_server.h"
#include "os/system.h"
#include "restore/clusters.h"
#include "restore/random_moment.h"

namespace walback {
namespace {

struct Options {
  bool amcheck = false, heapallindexed = false, check_pages = false, keep_failed = false;
  std::optional<std::uint64_t> seed;
  std::string directory;
};

/// One drill, from the draw to the empty place. Whatever happens is written down, and nothing stays behind.
class Drill {
 public:
  Drill(Context& context, ArchiveSession& session, const Options& options)
      : context_(context), session_(session), options_(options) {}

  Status run() {
    TRY(remove_leftovers());
    TRY(begin());
    Status done = restore_and_check();
    const Status cleared = done || !keep_it(done.error()) ? clear() : keep();
    if (done && !cleared) done = cleared;
    TRY(conclude(done));
    answer(done);
    return done;
  }

 private:
  Status begin() {
    row_.started_at = context_.clock->now();
    row_.seed = options_.seed.value_or(random_u64() % 1'000'000'000);
    const Path parent = options_.directory.empty()
                            ? session_.archive.layout.root.lexically_normal().parent_path()
                            : Path(options_.directory);
    name_ = kDrillPrefix + backup_id(row_.started_at);
    row_.directory = (parent / name_).string();
    row_.checks = "proof";
    return record();
  }

  Status restore_and_check() {
    const std::int64_t begun_us = context_.clock->monotonic_us();
    const RandomMoment moment = TRY(random_moment(session_.catalog, session_.archive.identity, row_.seed));
    draw_ = moment.draw;
    row_.target = options_text(moment.target);
    context_.say(fmt::format("seed {}: {}, {}", row_.seed, name_of(draw_), row_.target));
    RestoreSetup setup =
        TRY(restore_setup(context_, session_, TRY(make_plan(context_, session_, moment.target))));
    setup.name = name_;
    setup.place.directory = row_.directory;
    setup.place.port = TRY(random_free_port());
    setup.check_pages = options_.check_pages;
    // Nobody but the drill has business with this copy.
    setup.config.listen_addresses = "";
    setup.config.hba = {"local all all trust"};
    const PlaceReport place = TRY(check_place(*context_.files, setup.plan, setup.archive, setup.place,
                                              setup.configured_bin, setup.config.settings));
    const std::optional<AmcheckOptions> amcheck = TRY(amcheck_options(setup.plan));
    row_.base_bytes = setup.plan.backup.size_bytes;
    row_.wal_bytes = setup.plan.wal_bytes;
    TRY(record());
    restore_ = begun_restore(setup);
    TRY(record_restore(*context_.files, session_.archive.layout, session_.catalog, *restore_));
    const auto progress = context_.progress();
    proof_ = TRY(run_restore(setup, *progress, context_.stop));
    row_.rto_us = context_.clock->monotonic_us() - begun_us - page_check_us();
    if (!proof_->holds()) {
      return fail(ErrorKind::mismatch,
                  "the restored cluster is not what was planned: " + join(proof_->differences, "; "),
                  "Repeat it with `walback restore`, and please report it.");
    }
    if (options_.check_pages) note_page_check(place.control.data_checksums);
    if (amcheck) TRY(check_with_amcheck(setup, *amcheck));
    return {};
  }

  [[nodiscard]] static std::string options_text(const TargetOptions& target) {
    if (target.to_latest) return "--to-latest";
    std::string text =
        target.to_lsn ? "--to-lsn " + *target.to_lsn : "--to-time " + target.to_time.value_or("");
    if (target.before) text += " --before";
    return text;
  }

  Result<std::optional<AmcheckOptions>> amcheck_options(const RestorePlan& plan) {
    if (!options_.amcheck) return std::optional<AmcheckOptions>{};
    AmcheckOptions amcheck{
        .binaries = TRY(find_binaries(session_.config.postgres.bin,
                                      static_cast<int>(plan.backup.server_version_num / 10000))),
        .heapallindexed = options_.heapallindexed,
        .jobs = core_count()};
    TRY(check_amcheck_is_here(*context_.files, amcheck.binaries));
    return std::optional(std::move(amcheck));
  }

  /// Looking is no part of getting it back.
  [[nodiscard]] std::int64_t page_check_us() const {
    for (const PhaseTiming& timing : proof_->timings) {
      if (timing.phase == "check_pages") return timing.duration_us;
    }
    return 0;
  }

  void note_page_check(bool data_checksums) {
    checks_.emplace_back("pages", data_checksums ? "every page fits its checksum"
                                                 : "NOT checked: the cluster has no data checksums");
    row_.checks += data_checksums ? ", pages" : "";
  }

  Status check_with_amcheck(const RestoreSetup& setup, const AmcheckOptions& amcheck) {
    context_.say("pg_amcheck looks at tables and indexes");
    RestoredServer server(amcheck.binaries, {row_.directory}, setup.place.port,
                          RestoredLayout{row_.directory}.socket_directory().string());
    checks_.emplace_back("amcheck", TRY(run_amcheck(server, setup.superusers,
                                                    RestoredLayout{row_.directory}.socket_directory(),
                                                    setup.place.port, amcheck, context_.stop)));
    row_.checks += ", amcheck";
    return {};
  }

  /// What killed drills, and those that could not clean up, left behind.
  Status remove_leftovers() {
    for (DrillRow left : TRY(session_.catalog.drills())) {
      const bool there = !left.kept && exists(*context_.files, left.directory);
      if (there) {
        context_.say(fmt::format("removing '{}', which a drill left behind", left.directory));
        TRY(remove(left.directory));
      }
      if (left.state != DrillState::running) continue;
      auto restore = TRY(session_.catalog.restore(Path(left.directory).filename().string()));
      if (restore && restore->state != RestoreState::removed)
        TRY(end_restore(*restore, RestoreState::removed));
      left.state = DrillState::interrupted;
      left.finished_at = context_.clock->now();
      left.error = "its process ended before it did";
      TRY(record_drill(*context_.files, session_.archive.layout, session_.catalog, left));
    }
    return {};
  }

  Status remove(const Path& directory) {
    if (!exists(*context_.files, directory)) return {};
    if (cluster_condition(*context_.files, directory) != ClusterCondition::absent)
      return remove_cluster(clusters(), directory);
    // Made, and not yet marked: it holds nothing but the mark that was being written, or it is not ours.
    static_cast<void>(context_.files->remove(RestoredLayout{directory}.marker().string() + ".tmp"));
    return context_.files->remove(directory);
  }
  [[nodiscard]] ClusterSetup clusters() const {
    return {*context_.files, *context_.clock, session_.config.postgres.bin,
            likely_superusers(session_.config), session_.config.restore.hba};
  }

  [[nodiscard]] bool keep_it(const Error& error) const {
    return options_.keep_failed && restore_ && error.kind != ErrorKind::interrupted &&
           cluster_condition(*context_.files, row_.directory) != ClusterCondition::absent;
  }
  Status clear() {
    TRY(remove(row_.directory));
    return restore_ ? end_restore(*restore_, RestoreState::removed) : Status{};
  }

  /// Stopped, and among the restored clusters, so that `clusters remove` ends it.
  Status keep() {
    row_.kept = true;
    TRY(stop_cluster(clusters(), row_.directory));
    if (proof_) restore_->proof = to_line(to_json(*proof_));
    restore_->error = "a drill that failed";
    return end_restore(*restore_, RestoreState::failed);
  }

  Status end_restore(RestoreRow& restore, RestoreState state) {
    restore.state = state;
    restore.finished_at = context_.clock->now();
    return record_restore(*context_.files, session_.archive.layout, session_.catalog, restore);
  }

  Status conclude(const Status& done) {
    row_.finished_at = context_.clock->now();
    const bool interrupted = !done && done.error().kind == ErrorKind::interrupted;
    row_.state = done ? DrillState::passed : interrupted ? DrillState::interrupted : DrillState::failed;
    if (!done) row_.error = done.error().message;
    return record();
  }

  Status record() { return record_drill(*context_.files, session_.archive.layout, session_.catalog, row_); }

  void answer(const Status& done) {
    // A refusal's own document names what could be reached instead.
    if (!done && !proof_) return;
    Json checks = Json::object();
    for (const auto& [name, result] : checks_) checks[name] = result;
    Json document{{"passed", done.has_value()},
                  {"seed", row_.seed},
                  {"draw", name_of(draw_)},
                  {"target", row_.target},
                  {"rto_us", row_.rto_us},
                  {"base_bytes", row_.base_bytes},
                  {"wal_bytes", row_.wal_bytes},
                  {"checks", checks},
                  {"kept", row_.kept ? Json(row_.directory) : Json(nullptr)},
                  {"proof", to_json(*proof_)}};
    std::string text =
        fmt::format("drill {}: {} ({}, seed {})\nrestored and {} in {}: {} of base backup, {} of WAL\n",
                    done ? "passed" : "FAILED", row_.target, name_of(draw_), row_.seed,
                    proof_->holds() ? "proven" : "NOT proven", render_duration_us(row_.rto_us),
                    render_bytes(row_.base_bytes), render_bytes(row_.wal_bytes));
    for (const auto& [name, result] : checks_) text += fmt::format("  {:<10} {}\n", name, result);
    text += row_.kept
                ? fmt::format("kept in '{}'; remove it: walback clusters remove {}\n", row_.directory, name_)
                : "the copy is removed\n";
    context_.answer(std::move(document), text);
  }

  Context& context_;
  ArchiveSession& session_;
  const Options& options_;
  DrillRow row_;
  std::string name_;
  MomentDraw draw_ = MomentDraw::newest;
  std::optional<Proof> proof_;
  std::optional<RestoreRow> restore_;  ///< while the copy is there
  std::vector<std::pair<std::string, std::string>> checks_;
};

Status run_drill(Context& context, const Options& options) {
  ArchiveSession session = TRY(open_fresh_archive(context));
  const FileLock lock = TRY(FileLock::take(session.archive.layout.lock("drill"), "a drill"));
  return Drill(context, session, options).run();
}

}  // namespace

CommandSpec drill_command() {
  return {
      .name = "drill",
      .summary = "restore a random moment into a temporary place, check it, remove it; for a timer",
      .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::corrupt,
                  ErrorKind::unavailable, ErrorKind::disk_full, ErrorKind::interrupted, ErrorKind::mismatch},
      .declare = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        auto* amcheck =
            app.add_flag("--amcheck", options->amcheck, "run pg_amcheck over all databases of the copy");
        app.add_flag("--heapallindexed", options->heapallindexed,
                     "with --amcheck: is every row in every index, too? Takes much longer")
            ->needs(amcheck);
        app.add_flag("--check-pages", options->check_pages,
                     "run pg_checksums over the copy, where the cluster has data checksums");
        app.add_option("--seed", options->seed,
                       "draw the same moment again, over the same archive (else by chance)")
            ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{999'999'999}));
        app.add_option("--directory", options->directory,
                       "where the copy is made and removed (else beside the archive)")
            ->type_name("DIR")
            ->transform(absolute_path());
        app.add_flag("--keep-failed", options->keep_failed, "keep a copy that failed, stopped");
        return [options](Context& context) { return run_drill(context, *options); };
      }};
}

}  // namespace walback
