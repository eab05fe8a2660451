#include <fmt/format.h>

#include "base/text.h"
#include "catalog/journal.h"
#include "command/commands.h"
#include "command/restore_setup.h"
#include "command/target_options.h"
#include "restore/target_time.h"

namespace walback {
namespace {

struct Options {
  std::shared_ptr<TargetOptions> target;
  std::string into, name, tablespaces;
  std::uint16_t port = 0;
  bool pause = false, check_pages = false;
};

/// The directory's own name, or with a number behind it where another cluster bears it.
Result<std::string> free_name(const Catalog& catalog, const std::string& wished, const Path& directory) {
  for (int number = 1;; ++number) {
    const std::string name = number == 1 ? wished : fmt::format("{}-{}", wished, number);
    const auto taken = TRY(catalog.restore(name));
    if (!taken || taken->directory == directory.string() || taken->state == RestoreState::removed ||
        taken->state == RestoreState::failed) {
      return name;
    }
  }
}

std::string what_next(const Proof& proof, bool paused) {
  std::string text = "\nlook into it     psql -h " +
                     RestoredLayout{proof.directory}.socket_directory().string() +
                     fmt::format(" -p {} -U postgres postgres\n", proof.port);
  if (paused) text += fmt::format("open it          walback clusters promote {}\n", proof.name);
  text += fmt::format("remove it        walback clusters remove {}\n", proof.name);
  return text;
}

Status run_restore_command(Context& context, const Options& options) {
  ArchiveSession session = TRY(open_fresh_archive(context));
  RestorePlan plan = TRY(make_plan(context, session, *options.target));
  Path directory = std::filesystem::absolute(options.into).lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();
  const std::string wished = options.name.empty() ? directory.filename().string() : options.name;
  context.say(render_text(plan, session.config.time_zone));

  RestoreSetup setup = TRY(restore_setup(context, session, std::move(plan)));
  setup.name = TRY(free_name(session.catalog, wished, directory));
  setup.place = {directory, options.port, options.tablespaces};
  setup.pause = options.pause;
  setup.check_pages = options.check_pages;
  // A restore that is refused leaves no trace: the place is asked before anything is written down.
  TRY(check_place(*context.files, setup.plan, setup.archive, setup.place, setup.configured_bin,
                  setup.config.settings));
  RestoreRow row = begun_restore(setup);
  TRY(record_restore(*context.files, session.archive.layout, session.catalog, row));
  const auto progress = context.progress();
  const auto proof = run_restore(setup, *progress, context.stop);
  row.finished_at = context.clock->now();
  const bool paused = proof && proof->stage == ProofStage::paused;
  row.state = !proof || !proof->holds() ? RestoreState::failed
              : paused                  ? RestoreState::paused
                                        : RestoreState::complete;
  if (proof) row.proof = to_line(to_json(*proof));
  if (!proof) row.error = proof.error().message;
  TRY(record_restore(*context.files, session.archive.layout, session.catalog, row));
  if (!proof) return tl::unexpected(proof.error());

  context.answer(to_json(*proof), render_text(*proof) + (proof->holds() ? what_next(*proof, paused) : ""));
  if (proof->holds()) return {};
  return fail(ErrorKind::mismatch,
              fmt::format("the restored cluster '{}' is not what was planned: {}", proof->name,
                          join(proof->differences, "; ")),
              fmt::format("It was stopped and is kept in '{}'; please report it with walback-proof.json.",
                          proof->directory));
}

}  // namespace

CommandSpec restore_command_spec() {
  return {
      .name = "restore",
      .summary = "rebuild the cluster as it was at the target, and prove it",
      .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::corrupt,
                  ErrorKind::unavailable, ErrorKind::disk_full, ErrorKind::interrupted, ErrorKind::mismatch},
      .declare = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        options->target = add_target_options(app);
        app.add_option("--into", options->into, "the new data directory: absent or empty")
            ->required()
            ->type_name("DIR")
            ->transform(absolute_path());
        app.add_option("--port", options->port, "where the restored cluster listens")
            ->required()
            ->check(CLI::Range(1, 65535));
        app.add_option("--tablespaces", options->tablespaces,
                       "where the base backup's tablespaces go, absent or empty (else <into>.tablespaces)")
            ->type_name("DIR")
            ->transform(absolute_path());
        app.add_option("--name", options->name, "how `clusters` calls it (else the directory's name)");
        auto* pause = app.add_flag("--pause", options->pause,
                                   "stay at the stop, read-only; `clusters promote` opens it later");
        // pg_checksums needs a server that was shut down.
        app.add_flag("--check-pages", options->check_pages,
                     "run pg_checksums over the copy before handing it over")
            ->excludes(pause);
        return [options](Context& context) { return run_restore_command(context, *options); };
      }};
}

}  // namespace walback
