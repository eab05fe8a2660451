#include "capture/capture_status.h"

#include <array>

#include "base/json.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr std::array kStates = {CaptureState::starting, CaptureState::streaming, CaptureState::waiting,
                                CaptureState::disk_full, CaptureState::stopped};

Json json_of(const std::optional<Lsn>& lsn) {
  return lsn ? Json(to_string(*lsn)) : Json(nullptr);
}

std::optional<Lsn> lsn_member(const Json& json, std::string_view name) {
  const auto text = member<std::string>(json, name);
  return text ? parse_lsn(*text) : std::nullopt;
}

std::optional<Timestamp> time_member(const Json& json, std::string_view name) {
  const auto value = member<std::int64_t>(json, name);
  return value ? std::optional(Timestamp{*value}) : std::nullopt;
}

}  // namespace

std::string_view name_of(CaptureState state) {
  switch (state) {
    case CaptureState::starting:
      return "starting";
    case CaptureState::streaming:
      return "streaming";
    case CaptureState::waiting:
      return "waiting";
    case CaptureState::disk_full:
      return "disk_full";
    case CaptureState::stopped:
      return "stopped";
  }
  return "unknown";
}

std::string to_text(const CaptureStatus& status) {
  Json json;
  json["state"] = name_of(status.state);
  json["pid"] = status.pid;
  json["receivewal_pid"] = status.receivewal_pid ? Json(*status.receivewal_pid) : Json(nullptr);
  json["slot"] = status.slot;
  json["epoch"] = status.epoch;
  json["host"] = status.host.empty() ? Json(nullptr) : Json(status.host);
  json["timeline"] = status.timeline == 0 ? Json(nullptr) : Json(status.timeline);
  json["system_identifier"] = std::to_string(status.system_identifier);
  json["synchronous"] = status.synchronous;
  json["held_lsn"] = json_of(status.held_lsn);
  json["durable_lsn"] = json_of(status.durable_lsn);
  json["primary_flush_lsn"] = json_of(status.primary_flush_lsn);
  json["disk_available_bytes"] =
      status.disk_available_bytes ? Json(*status.disk_available_bytes) : Json(nullptr);
  json["disk_reserve_bytes"] = status.disk_reserve_bytes;
  json["wal_bytes_per_second"] =
      status.wal_bytes_per_second ? Json(*status.wal_bytes_per_second) : Json(nullptr);
  json["restarts"] = status.restarts;
  json["last_error"] = status.last_error;
  // Each time twice: for people, and exactly.
  json["started_at"] = to_rfc3339(status.started_at);
  json["updated_at"] = to_rfc3339(status.updated_at);
  json["primary_seen_at"] =
      status.primary_seen_at ? Json(to_rfc3339(*status.primary_seen_at)) : Json(nullptr);
  json["started_at_us"] = status.started_at.unix_us;
  json["updated_at_us"] = status.updated_at.unix_us;
  json["updated_monotonic_us"] = status.updated_monotonic_us;
  json["primary_seen_at_us"] = status.primary_seen_at ? Json(status.primary_seen_at->unix_us) : Json(nullptr);
  return to_text(json) + "\n";
}

Result<CaptureStatus> parse_capture_status(const std::string& text, const std::string& what) {
  const Json json = TRY(parse_json(text, what));
  const auto missing = [&](std::string_view name) {
    return fail(ErrorKind::corrupt, what + ": no valid '" + std::string(name) + "'",
                "The capturer writes this file anew every second. Is it running?");
  };
  CaptureStatus status;
  const auto state = member<std::string>(json, "state");
  bool known = false;
  for (const auto candidate : kStates) {
    if (state && *state == name_of(candidate)) {
      status.state = candidate;
      known = true;
    }
  }
  if (!known) return missing("state");
  const auto pid = member<std::int64_t>(json, "pid");
  if (!pid) return missing("pid");
  status.pid = static_cast<int>(*pid);
  if (const auto child = member<std::int64_t>(json, "receivewal_pid")) {
    status.receivewal_pid = static_cast<int>(*child);
  }
  const auto identifier = parse_decimal(member<std::string>(json, "system_identifier").value_or(""));
  if (!identifier) return missing("system_identifier");
  status.system_identifier = *identifier;
  const auto started = time_member(json, "started_at_us");
  if (!started) return missing("started_at_us");
  status.started_at = *started;
  const auto updated = time_member(json, "updated_at_us");
  if (!updated) return missing("updated_at_us");
  status.updated_at = *updated;
  status.updated_monotonic_us = member<std::int64_t>(json, "updated_monotonic_us").value_or(0);
  status.slot = member<std::string>(json, "slot").value_or("");
  status.epoch = static_cast<std::uint32_t>(member<std::int64_t>(json, "epoch").value_or(1));
  status.host = member<std::string>(json, "host").value_or("");
  status.timeline = static_cast<std::uint32_t>(member<std::int64_t>(json, "timeline").value_or(0));
  status.synchronous = member<bool>(json, "synchronous").value_or(true);
  status.held_lsn = lsn_member(json, "held_lsn");
  status.durable_lsn = lsn_member(json, "durable_lsn");
  status.primary_flush_lsn = lsn_member(json, "primary_flush_lsn");
  status.primary_seen_at = time_member(json, "primary_seen_at_us");
  status.disk_available_bytes = member<std::uint64_t>(json, "disk_available_bytes");
  status.disk_reserve_bytes = member<std::uint64_t>(json, "disk_reserve_bytes").value_or(0);
  status.wal_bytes_per_second = member<std::uint64_t>(json, "wal_bytes_per_second");
  status.restarts = static_cast<std::uint64_t>(member<std::int64_t>(json, "restarts").value_or(0));
  status.last_error = member<std::string>(json, "last_error").value_or("");
  return status;
}

bool is_silent(const CaptureStatus& status, const Clock& clock) {
  const std::int64_t age_us = clock.monotonic_us() - status.updated_monotonic_us;
  return age_us < 0 || age_us > std::chrono::microseconds(kCaptureSilence).count();
}

Result<CaptureStatus> read_capture_status(FileSystem& files, const ArchiveLayout& archive) {
  const auto path = archive.capture_status();
  const auto text = TRY(files.read(path, 1U << 20));
  return parse_capture_status(text, path.string());
}

Status write_capture_status(FileSystem& files, const ArchiveLayout& archive, const CaptureStatus& status) {
  const auto path = archive.capture_status();
  const Path temporary = path.string() + ".tmp";
  TRY(files.write(temporary, to_text(status)));
  return files.rename(temporary, path);
}

}  // namespace walback
