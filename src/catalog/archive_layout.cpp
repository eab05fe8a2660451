#include "catalog/archive_layout.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr std::uint64_t kFormat = 1;

}  // namespace

std::filesystem::path ArchiveLayout::epoch(std::uint32_t number) const {
  return wal() / fmt::format("{:04}", number);
}

std::filesystem::path ArchiveLayout::unfinished_backup(const std::string& id) const {
  return backups() / ("." + id + ".unfinished");
}

std::filesystem::path ArchiveLayout::lock(const std::string& role) const {
  return root / "locks" / (role + ".lock");
}

std::string to_text(const ArchiveIdentity& identity) {
  Json json;
  json["format"] = kFormat;
  // A string: a system identifier has 64 bits, and many readers of JSON keep 53.
  json["system_identifier"] = std::to_string(identity.system_identifier);
  json["wal_segment_size"] = identity.segment_size.bytes();
  return to_text(json) + "\n";
}

Result<ArchiveIdentity> parse_archive_identity(const std::string& text, const std::string& what) {
  const std::string hint =
      "Put the file back from a copy of the archive; PostgreSQL's pg_controldata names both values of the "
      "primary.";
  const auto json = parse_json(text, what);
  if (!json) return fail(ErrorKind::corrupt, json.error().message, hint);
  const auto format = member<std::uint64_t>(*json, "format");
  if (!format) return fail(ErrorKind::corrupt, fmt::format("{} has no \"format\"", what), hint);
  if (*format != kFormat) {
    return fail(ErrorKind::conflict,
                fmt::format("{} has format {}, this walback reads format {}", what, *format, kFormat),
                "Use a walback at least as new as the one that made this archive.");
  }
  const auto system_text = member<std::string>(*json, "system_identifier");
  const auto system = system_text ? parse_decimal(*system_text) : std::nullopt;
  if (!system || *system == 0) {
    return fail(ErrorKind::corrupt, fmt::format("{} has no valid \"system_identifier\"", what), hint);
  }
  const auto bytes = member<std::uint64_t>(*json, "wal_segment_size");
  const auto size = bytes ? SegmentSize::from_bytes(*bytes) : std::nullopt;
  if (!size) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} has no valid \"wal_segment_size\" (a power of two from 1 MB to 1 GB)", what),
                hint);
  }
  return ArchiveIdentity{*system, *size};
}

}  // namespace walback
