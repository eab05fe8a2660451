#include "command/verify_ledger.h"

#include <fmt/format.h>

#include "base/text.h"
#include "command/session.h"
#include "lab/ledger_check.h"
#include "pg/conninfo.h"
#include "restore/clusters.h"
#include "restore/restored_server.h"

namespace walback {
namespace {

/// The one that was named, else the newest that ended well and is still there.
Result<RestoreRow> cluster_to_check(const Context& context, const Catalog& catalog, const std::string& name) {
  for (const RestoreRow& recorded : TRY(catalog.restores())) {
    const RestoreRow row = as_it_is(*context.files, recorded);
    const bool ended = row.state == RestoreState::complete || row.state == RestoreState::paused;
    if (name.empty() ? ended && cluster_condition(*context.files, row.directory) != ClusterCondition::absent
                     : row.name == name && row.state != RestoreState::removed)
      return row;
  }
  return fail(
      ErrorKind::not_found,
      name.empty() ? "there is no restored cluster" : fmt::format("no restored cluster is called '{}'", name),
      name.empty() ? "`walback restore` makes one." : "`walback clusters` lists them.");
}

/// Where its proof says that replay ended.
Result<Lsn> proven_stop(const RestoreRow& row) {
  const auto proof = parse_json(row.proof, "the proof of " + row.name);
  if (proof && member<std::string>(*proof, "verdict") == "proven") {
    const Json reached = proof->value("reached", Json::object());
    for (const char* key : {"replay_lsn", "switch_point"}) {
      const auto text = member<std::string>(reached, key);
      const auto lsn = text ? parse_lsn(*text) : std::nullopt;
      if (lsn) return *lsn;
    }
  }
  return fail(ErrorKind::conflict, fmt::format("the restored cluster '{}' has no proof that holds", row.name),
              "Only a proven one has a stop that rows can be held against.");
}

Result<Connection> connect(const Context& context, const Config& config, const RestoreRow& row) {
  const RestoredLayout layout{row.directory};
  const auto marker = TRY(read_marker(*context.files, layout));
  RestoredServer server({}, layout, row.port,
                        marker ? marker->socket_directory : layout.socket_directory().string());
  if (!server.running()) {
    return fail(ErrorKind::unavailable, fmt::format("the restored cluster '{}' is not running", row.name),
                fmt::format("Start it: walback clusters start {}", row.name));
  }
  Connection connection = TRY(server.connect(likely_superusers(config)));
  const auto keywords = parse_conninfo(config.primary.conninfo, "primary.conninfo");
  const std::string database = keywords ? keyword(*keywords, "dbname") : "";
  if (database.empty() || database == "postgres") return connection;
  return server.connect_to(database);
}

Json to_json(const LedgerCheck& check, const RestoreRow& row, Lsn stop) {
  return {{"cluster", row.name},
          {"stop_lsn", to_string(stop)},
          {"rows", check.rows},
          {"confirmed", check.confirmed},
          {"later", check.later},
          {"at_the_stop", check.at_the_stop},
          {"in_doubt", {{"there", check.in_doubt_there}, {"absent", check.in_doubt_absent}}},
          {"lost", check.lost},
          {"doubled", check.doubled},
          {"unknown", check.unknown},
          {"beyond", check.beyond},
          {"changed", check.changed},
          {"reordered", check.reordered},
          {"differences", check.differences()},
          {"first", check.first}};
}

std::string render_text(const LedgerCheck& check, const RestoreRow& row, Lsn stop) {
  std::string text;
  for (const std::string& difference : check.first) text += "differs  " + difference + "\n";
  if (check.differences() > check.first.size())
    text += fmt::format("         and {} more\n", check.differences() - check.first.size());
  text += fmt::format("'{}' at {}: {}; of the ledger {} are there, {} come later", row.name, to_string(stop),
                      count_of(check.rows, "row"), check.confirmed, check.later);
  if (check.at_the_stop > 0) text += fmt::format(", {} lie at the stop itself", check.at_the_stop);
  text += fmt::format("\nin doubt: {} there, {} not there\n", check.in_doubt_there, check.in_doubt_absent);
  text += fmt::format("{} lost, {} doubled, {} unknown, {} from beyond the stop, {} changed, {} reordered\n",
                      check.lost, check.doubled, check.unknown, check.beyond, check.changed, check.reordered);
  return text;
}

}  // namespace

Status verify_ledger(Context& context, const LedgerOptions& options) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  const Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  const Ledger ledger = TRY(read_ledger(options.file));
  const RestoreRow row = TRY(cluster_to_check(context, catalog, options.cluster));
  const Lsn stop = TRY(proven_stop(row));
  Connection connection = TRY(connect(context, config, row));
  auto rows = TRY(load_rows(connection));
  const LedgerCheck check =
      check_ledger(ledger.entries, std::move(rows), stop, archive.identity.segment_size);
  Json document = to_json(check, row, stop);
  document["damaged_ledger_lines"] = ledger.damaged_lines;
  context.answer(std::move(document), render_text(check, row, stop));
  if (check.differences() == 0) return {};
  return fail(ErrorKind::findings,
              fmt::format("the restored cluster '{}' differs from the ledger in {}", row.name,
                          count_of(check.differences(), "place")),
              "The first of them are named above, --json under `first`.");
}

}  // namespace walback
