#include "catalog/moment_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr std::array<std::string_view, 9> kKinds{"removal",
                                                 "restore_point",
                                                 "checkpoint",
                                                 "parameters_changed",
                                                 "tablespace_created",
                                                 "tablespace_dropped",
                                                 "database_dropped",
                                                 "timeline_switched",
                                                 "backup_ended"};

/// Fills the row from one kind of event.
struct Fill {
  MomentRow& row;

  void operator()(const RestorePointSet& what) const {
    row.kind = MomentKind::restore_point;
    row.time = what.time;
    row.name = what.name;
  }
  void operator()(const CheckpointDone& what) const {
    row.kind = MomentKind::checkpoint;
    row.detail = to_line(Json{{"redo", to_string(what.redo)},
                              {"timeline", what.timeline.value},
                              {"previous_timeline", what.previous_timeline.value},
                              {"shutdown", what.shutdown}});
  }
  void operator()(const ParametersChanged& what) const {
    row.kind = MomentKind::parameters_changed;
    row.detail = to_line(Json{{"max_connections", what.max_connections},
                              {"max_worker_processes", what.max_worker_processes},
                              {"max_wal_senders", what.max_wal_senders},
                              {"max_prepared_transactions", what.max_prepared_transactions},
                              {"max_locks_per_transaction", what.max_locks_per_transaction},
                              {"wal_level", what.wal_level},
                              {"wal_log_hints", what.wal_log_hints},
                              {"track_commit_timestamp", what.track_commit_timestamp}});
  }
  void operator()(const TablespaceCreated& what) const {
    row.kind = MomentKind::tablespace_created;
    row.name = what.path;
    row.detail = to_line(Json{{"oid", what.oid}});
  }
  void operator()(const TablespaceDropped& what) const {
    row.kind = MomentKind::tablespace_dropped;
    row.detail = to_line(Json{{"oid", what.oid}});
  }
  void operator()(const DatabaseDropped& what) const {
    row.kind = MomentKind::database_dropped;
    row.detail = to_line(Json{{"oid", what.oid}});
  }
  void operator()(const TimelineSwitched& what) const {
    row.kind = MomentKind::timeline_switched;
    row.time = what.time;
    row.detail =
        to_line(Json{{"timeline", what.timeline.value}, {"previous_timeline", what.previous_timeline.value}});
  }
  void operator()(const BackupEnded& what) const {
    row.kind = MomentKind::backup_ended;
    row.detail = to_line(Json{{"start_lsn", to_string(what.start_lsn)}});
  }
};

/// Reads members of a moment's detail; one that is missing or no fit is remembered as the fault.
class Detail {
 public:
  explicit Detail(const std::string& text) : json_(Json::parse(text, nullptr, false)) {
    if (!json_.is_object()) fault_ = "it is no JSON object";
  }

  template <class T>
  T number(const char* key) {
    const auto value = member<std::int64_t>(json_, key);
    if (value && std::in_range<T>(*value)) return static_cast<T>(*value);
    miss(key);
    return {};
  }
  bool flag(const char* key) {
    const auto value = member<bool>(json_, key);
    if (!value) miss(key);
    return value.value_or(false);
  }
  Lsn lsn(const char* key) {
    const auto text = member<std::string>(json_, key);
    const auto value = text ? parse_lsn(*text) : std::nullopt;
    if (!value) miss(key);
    return value.value_or(Lsn{});
  }
  /// A list of "a/b" or "a/b/c"; absent is empty.
  template <std::size_t N>
  std::vector<std::array<std::uint32_t, N>> paths(const char* key) {
    std::vector<std::array<std::uint32_t, N>> values;
    if (!json_.is_object() || !json_.contains(key)) return values;
    for (const Json& item : json_[key]) {
      const std::string text = item.is_string() ? item.get<std::string>() : std::string();
      const auto parts = split(text, '/');
      std::array<std::uint32_t, N> value{};
      bool fits = parts.size() == N;
      for (std::size_t i = 0; fits && i < N; ++i) {
        const auto part = parse_decimal(parts[i]);
        fits = part && std::in_range<std::uint32_t>(*part);
        if (fits) value[i] = static_cast<std::uint32_t>(*part);
      }
      if (!fits) miss(key);
      values.push_back(value);
    }
    return values;
  }

  template <class T>
  Result<T> finish(const MomentRow& moment, T value) const {
    if (fault_.empty()) return value;
    return fail(ErrorKind::corrupt,
                fmt::format("the {} at {} on timeline {} has an unreadable detail: {}", name_of(moment.kind),
                            to_string(moment.lsn), moment.timeline.value, fault_),
                "Delete the catalog and start `walback manage`, which builds it again.");
  }

 private:
  void miss(const char* key) {
    if (fault_.empty()) fault_ = fmt::format("\"{}\" is missing or no fit", key);
  }
  Json json_;
  std::string fault_;
};

}  // namespace

std::string_view name_of(MomentKind kind) {
  return kKinds.at(static_cast<std::size_t>(kind));
}

std::optional<MomentKind> moment_kind_named(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name);
  if (found == kKinds.end()) return std::nullopt;
  return static_cast<MomentKind>(found - kKinds.begin());
}

MomentRow moment_of(TimelineId timeline, const Event& event) {
  MomentRow row{timeline, event.lsn, event.end_lsn, {}, event.xid, {}, {}, {}};
  std::visit(Fill{row}, event.what);
  return row;
}

std::optional<MomentRow> moment_of(TimelineId timeline, const TransactionEnd& end) {
  if (end.removed_files.empty() && end.dropped_relations.empty()) return std::nullopt;
  Json detail;
  detail["removed_files"] = Json::array();
  for (const RelationFiles& files : end.removed_files) {
    detail["removed_files"].push_back(
        fmt::format("{}/{}/{}", files.tablespace, files.database, files.relfilenode));
  }
  detail["dropped_relations"] = Json::array();
  for (const DroppedRelation& relation : end.dropped_relations) {
    detail["dropped_relations"].push_back(fmt::format("{}/{}", relation.database, relation.oid));
  }
  return MomentRow{timeline, end.lsn,  end.end_lsn, MomentKind::removal,
                   end.xid,  end.time, {},          to_line(detail)};
}

Result<Event> event_of(const MomentRow& moment) {
  Event event{moment.lsn, moment.end_lsn, moment.xid, {}};
  if (moment.kind == MomentKind::restore_point) {
    event.what = RestorePointSet{moment.time.value_or(Timestamp{}), moment.name};
    return event;
  }
  if (moment.kind == MomentKind::removal) {
    return fail(ErrorKind::internal, fmt::format("the removal at {} is no event", to_string(moment.lsn)));
  }
  Detail detail(moment.detail);
  switch (moment.kind) {
    case MomentKind::removal:
    case MomentKind::restore_point:
      break;
    case MomentKind::checkpoint:
      event.what = CheckpointDone{detail.lsn("redo"),
                                  {detail.number<std::uint32_t>("timeline")},
                                  {detail.number<std::uint32_t>("previous_timeline")},
                                  detail.flag("shutdown")};
      break;
    case MomentKind::parameters_changed:
      event.what = ParametersChanged{detail.number<std::int32_t>("max_connections"),
                                     detail.number<std::int32_t>("max_worker_processes"),
                                     detail.number<std::int32_t>("max_wal_senders"),
                                     detail.number<std::int32_t>("max_prepared_transactions"),
                                     detail.number<std::int32_t>("max_locks_per_transaction"),
                                     detail.number<std::int32_t>("wal_level"),
                                     detail.flag("wal_log_hints"),
                                     detail.flag("track_commit_timestamp")};
      break;
    case MomentKind::tablespace_created:
      event.what = TablespaceCreated{detail.number<std::uint32_t>("oid"), moment.name};
      break;
    case MomentKind::tablespace_dropped:
      event.what = TablespaceDropped{detail.number<std::uint32_t>("oid")};
      break;
    case MomentKind::database_dropped:
      event.what = DatabaseDropped{detail.number<std::uint32_t>("oid")};
      break;
    case MomentKind::timeline_switched:
      event.what = TimelineSwitched{{detail.number<std::uint32_t>("timeline")},
                                    {detail.number<std::uint32_t>("previous_timeline")},
                                    moment.time.value_or(Timestamp{})};
      break;
    case MomentKind::backup_ended:
      event.what = BackupEnded{detail.lsn("start_lsn")};
      break;
  }
  return detail.finish(moment, std::move(event));
}

Result<Removal> removal_of(const MomentRow& moment) {
  if (moment.kind != MomentKind::removal) {
    return fail(ErrorKind::internal,
                fmt::format("the {} at {} is no removal", name_of(moment.kind), to_string(moment.lsn)));
  }
  Detail detail(moment.detail);
  Removal removal;
  for (const auto& path : detail.paths<3>("removed_files")) {
    removal.removed_files.push_back({path[0], path[1], path[2]});
  }
  for (const auto& path : detail.paths<2>("dropped_relations")) {
    removal.dropped_relations.push_back({path[0], path[1]});
  }
  return detail.finish(moment, std::move(removal));
}

}  // namespace walback
