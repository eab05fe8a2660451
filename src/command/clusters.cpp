#include "restore/clusters.h"

#include <fmt/format.h>

#include "base/text.h"
#include "catalog/journal.h"
#include "command/commands.h"
#include "command/row_json.h"
#include "command/session.h"
#include "restore/release_cluster.h"

namespace walback {
namespace {

struct Options {
  std::string action, name;
};

Status show(Context& context, const Catalog& catalog) {
  Json document = Json::array();
  std::string text = fmt::format("{:<20} {:<10} {:<9} {:<6} {:<28} {}\n", "NAME", "RESTORE", "SERVER", "PORT",
                                 "TARGET", "DIRECTORY");
  std::size_t shown = 0;
  for (const RestoreRow& recorded : TRY(catalog.restores())) {
    if (recorded.state == RestoreState::removed) continue;
    const RestoreRow row = as_it_is(*context.files, recorded);
    const ClusterCondition condition = cluster_condition(*context.files, row.directory);
    Json json = to_json(row);
    json.erase("plan");
    json["server"] = name_of(condition);
    document.push_back(json);
    text += fmt::format("{:<20} {:<10} {:<9} {:<6} {:<28} {}\n", row.name, name_of(row.state),
                        name_of(condition), row.port, row.target, row.directory);
    ++shown;
  }
  if (shown == 0) text = "no restored clusters; `walback restore` makes one";
  context.answer(document, text);
  return {};
}

Result<RestoreRow> find(const Catalog& catalog, const std::string& name) {
  auto row = TRY(catalog.restore(name));
  if (row && row->state != RestoreState::removed) return *row;
  std::vector<std::string> names;
  for (const RestoreRow& other : TRY(catalog.restores())) {
    if (other.state != RestoreState::removed) names.push_back(other.name);
  }
  const auto near = nearest(name, names);
  return fail(ErrorKind::not_found, fmt::format("no restored cluster is called '{}'", name),
              near ? fmt::format("Did you mean '{}'?", *near) : "`walback clusters` lists them.");
}

Status promote(Context& context, ArchiveSession& session, const ClusterSetup& setup, RestoreRow& row) {
  const Proof proof = TRY(promote_cluster(setup, row.directory, context.stop));
  row.state = proof.holds() ? RestoreState::complete : RestoreState::failed;
  row.proof = to_line(to_json(proof));
  row.finished_at = context.clock->now();
  TRY(record_restore(*context.files, session.archive.layout, session.catalog, row));
  context.answer(to_json(proof), render_text(proof));
  if (proof.holds()) return {};
  TRY(stop_cluster(setup, row.directory));
  return fail(ErrorKind::mismatch,
              fmt::format("'{}' is not what was planned: {}", row.name, join(proof.differences, "; ")),
              "It was stopped; its proof says the same.");
}

Status act(Context& context, ArchiveSession& session, const Options& options) {
  RestoreRow row = TRY(find(session.catalog, options.name));
  const ClusterSetup setup{*context.files, *context.clock, session.config.postgres.bin,
                           likely_superusers(session.config), session.config.restore.hba};
  if (options.action == "promote") return promote(context, session, setup, row);
  std::string said;
  if (options.action == "start") {
    said =
        fmt::format("'{}' is running: {}", row.name, TRY(start_cluster(setup, row.directory, context.stop)));
  } else if (options.action == "stop") {
    TRY(stop_cluster(setup, row.directory));
    said = fmt::format("'{}' is stopped", row.name);
  } else if (options.action == "release") {
    TRY(release_cluster(*context.files, row.directory));
    row.state = RestoreState::removed;
    TRY(record_restore(*context.files, session.archive.layout, session.catalog, row));
    said = fmt::format("'{}' is released: '{}' is PostgreSQL's alone now; it is not running", row.name,
                       row.directory);
  } else {
    if (cluster_condition(*context.files, row.directory) != ClusterCondition::absent) {
      TRY(remove_cluster(setup, row.directory));
    }
    row.state = RestoreState::removed;
    TRY(record_restore(*context.files, session.archive.layout, session.catalog, row));
    said = fmt::format("'{}' is removed", row.name);
  }
  context.answer({{"name", row.name}, {"action", options.action}}, said);
  return {};
}

Status run_clusters(Context& context, const Options& options) {
  Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  // A lost catalog is filled again first: it knows which restored clusters there are.
  ArchiveSession session =
      exists(*context.files, archive.catalog_path)
          ? ArchiveSession{std::move(config), archive, TRY(Catalog::open(archive.catalog_path))}
          : TRY(open_fresh_archive(context));
  if (options.action.empty() || options.action == "list") return show(context, session.catalog);
  if (options.name.empty()) {
    return fail(ErrorKind::usage, fmt::format("clusters {} needs a name", options.action),
                "`walback clusters` lists them.");
  }
  return act(context, session, options);
}

}  // namespace

CommandSpec clusters_command() {
  return {.name = "clusters",
          .summary = "the restored clusters: list, start, stop, promote, release, remove",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::unavailable,
                      ErrorKind::mismatch},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_option("action", options->action,
                           "list (it needs no word), start, stop, promote (a paused one), release (to be a "
                           "primary), remove")
                ->type_name("")
                ->check(one_of({"list", "start", "stop", "promote", "release", "remove"}));
            app.add_option("name", options->name, "of the cluster, as `walback clusters` shows it")
                ->type_name("CLUSTER");
            return [options](Context& context) { return run_clusters(context, *options); };
          }};
}

}  // namespace walback
