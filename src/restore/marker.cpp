#include "restore/marker.h"

#include <fmt/format.h>

#include <array>

#include "base/crc32c.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr std::array<std::pair<RestorePhase, std::string_view>, 5> kPhases = {{
    {RestorePhase::laying_base, "laying_base"},
    {RestorePhase::recovering, "recovering"},
    {RestorePhase::paused, "paused"},
    {RestorePhase::finishing, "finishing"},
    {RestorePhase::complete, "complete"},
}};

/// sun_path holds 108 bytes with its final zero; the socket's own name takes up to "/.s.PGSQL.65535.lock".
constexpr std::size_t kLongestSocketDirectory = 107 - 20;

}  // namespace

std::string_view name_of(RestorePhase phase) {
  for (const auto& [value, name] : kPhases) {
    if (value == phase) return name;
  }
  return "laying_base";
}

Path RestoredLayout::socket_directory() const {
  Path beside = own() / "socket";
  if (beside.native().size() <= kLongestSocketDirectory) return beside;
  // Not std::hash: another build must find the same.
  const std::string& name = data.native();
  return fmt::format("/tmp/walback-{:08x}{:08x}", crc32c(name),
                     crc32c(std::string(name.rbegin(), name.rend())));
}

Json to_json(const RestoreMarker& marker) {
  return {{"format", 1},
          {"phase", name_of(marker.phase)},
          {"name", marker.name},
          {"target", marker.target},
          {"pid", marker.pid},
          {"pid_start_ticks", marker.pid_start_ticks},
          {"started_us", marker.started_at.unix_us},
          {"started_at", to_rfc3339(marker.started_at)},
          {"port", marker.port},
          {"socket_directory", marker.socket_directory},
          {"plan", marker.plan},
          {"expected", marker.expected},
          {"tablespaces", to_json(marker.tablespaces)}};
}

Result<RestoreMarker> parse_marker(const std::string& text, const std::string& what) {
  const Json json = TRY(parse_json(text, what));
  const auto phase = member<std::string>(json, "phase");
  const auto name = member<std::string>(json, "name");
  const auto port = member<std::uint64_t>(json, "port");
  RestoreMarker marker;
  bool known = false;
  for (const auto& [value, phase_name] : kPhases) {
    if (phase == phase_name) {
      marker.phase = value;
      known = true;
    }
  }
  if (!known || !name || !port || *port > 65535 || !json.contains("plan") || !json.contains("expected")) {
    return fail(ErrorKind::corrupt, fmt::format("{} is not the mark of a restore", what));
  }
  marker.name = *name;
  marker.port = static_cast<std::uint16_t>(*port);
  marker.pid = static_cast<int>(member<std::int64_t>(json, "pid").value_or(0));
  marker.pid_start_ticks = member<std::uint64_t>(json, "pid_start_ticks").value_or(0);
  marker.started_at = Timestamp{member<std::int64_t>(json, "started_us").value_or(0)};
  marker.socket_directory = member<std::string>(json, "socket_directory").value_or("");
  marker.target = member<std::string>(json, "target").value_or("");
  marker.plan = json["plan"];
  marker.expected = json["expected"];
  for (const Json& tablespace : json.value("tablespaces", Json::array())) {
    marker.tablespaces.push_back(TRY(parse_restored_tablespace(tablespace, what)));
  }
  return marker;
}

Result<std::optional<RestoreMarker>> read_marker(FileSystem& files, const RestoredLayout& layout) {
  const auto text = files.read(layout.marker());
  if (!text && text.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!text) return tl::unexpected(text.error());
  return TRY(parse_marker(*text, fmt::format("'{}'", layout.marker().string())));
}

Status write_marker(FileSystem& files, const RestoredLayout& layout, const RestoreMarker& marker) {
  return publish(files, layout.marker(), to_text(to_json(marker)) + "\n");
}

}  // namespace walback
