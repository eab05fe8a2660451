#include "archive/manage_status.h"

#include <array>

#include "base/json.h"

namespace walback {
namespace {

constexpr std::array kStates{ManageState::indexing, ManageState::current, ManageState::failing,
                             ManageState::stopped};

std::optional<Timestamp> time_member(const Json& json, std::string_view key) {
  const auto unix_us = member<std::int64_t>(json, key);
  return unix_us ? std::optional<Timestamp>{Timestamp{*unix_us}} : std::nullopt;
}

struct Position {
  TimelineId timeline;
  Lsn lsn;
};

std::optional<Position> position_in(const Json& json, std::string_view lsn_key) {
  const auto timeline = member<std::int64_t>(json, "timeline");
  const auto lsn = parse_lsn(member<std::string>(json, lsn_key).value_or(""));
  if (!timeline || *timeline < 1 || *timeline > UINT32_MAX || !lsn) return std::nullopt;
  return Position{{static_cast<std::uint32_t>(*timeline)}, *lsn};
}

}  // namespace

std::string_view name_of(ManageState state) {
  switch (state) {
    case ManageState::indexing:
      return "indexing";
    case ManageState::current:
      return "current";
    case ManageState::failing:
      return "failing";
    case ManageState::stopped:
      return "stopped";
  }
  return "unknown";
}

// Each time stands twice: as a number that is read back, and as text for the person who looks into the file.
std::string to_text(const ManageStatus& status) {
  Json json{{"pid", status.pid},
            {"state", name_of(status.state)},
            {"started_at_us", status.started_at.unix_us},
            {"updated_at_us", status.updated_at.unix_us},
            {"updated_at", to_rfc3339(status.updated_at)}};
  if (status.last_intake_at) {
    json["last_intake_at_us"] = status.last_intake_at->unix_us;
    json["last_intake_at"] = to_rfc3339(*status.last_intake_at);
  }
  json["indexed"] = Json::array();
  for (const ManageStatus::Indexed& indexed : status.indexed)
    json["indexed"].push_back(
        {{"timeline", indexed.timeline.value}, {"end_lsn", to_string(indexed.end_lsn)}});
  if (status.watermark)
    json["watermark"] = {{"timeline", status.watermark->timeline.value},
                         {"lsn", to_string(status.watermark->lsn)},
                         {"time_us", status.watermark->time.unix_us},
                         {"time", to_rfc3339(status.watermark->time)}};
  json["last_error"] = status.last_error;
  json["primary_error"] = status.primary_error;
  return to_text(json) + "\n";
}

Result<ManageStatus> parse_manage_status(const std::string& text, const std::string& what) {
  const Json json = TRY(parse_json(text, what));
  const auto damaged = [&](std::string_view key) {
    return fail(ErrorKind::corrupt, what + " has no usable '" + std::string(key) + "'",
                "It is written anew by the next `walback manage`; until then only the catalog speaks.");
  };
  ManageStatus status;
  const auto pid = member<std::int64_t>(json, "pid");
  if (!pid || *pid < 1 || *pid > INT32_MAX) return damaged("pid");
  status.pid = static_cast<int>(*pid);

  const auto name = member<std::string>(json, "state").value_or("");
  const ManageState* state = nullptr;
  for (const ManageState& candidate : kStates)
    if (name_of(candidate) == name) state = &candidate;
  if (!state) return damaged("state");
  status.state = *state;

  const auto started = time_member(json, "started_at_us");
  if (!started) return damaged("started_at_us");
  status.started_at = *started;
  const auto updated = time_member(json, "updated_at_us");
  if (!updated) return damaged("updated_at_us");
  status.updated_at = *updated;
  status.last_intake_at = time_member(json, "last_intake_at_us");

  const auto indexed = json.find("indexed");
  if (indexed == json.end() || !indexed->is_array()) return damaged("indexed");
  for (const Json& entry : *indexed) {
    const auto position = position_in(entry, "end_lsn");
    if (!position) return damaged("indexed");
    status.indexed.push_back({position->timeline, position->lsn});
  }
  if (const auto watermark = json.find("watermark"); watermark != json.end()) {
    const auto position = position_in(*watermark, "lsn");
    const auto time = time_member(*watermark, "time_us");
    if (!position || !time) return damaged("watermark");
    status.watermark = {position->timeline, position->lsn, *time};
  }
  status.last_error = member<std::string>(json, "last_error").value_or("");
  status.primary_error = member<std::string>(json, "primary_error").value_or("");
  return status;
}

}  // namespace walback
