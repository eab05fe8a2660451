#pragma once
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "catalog/catalog.h"
#include "command/command.h"
#include "restore/plan.h"

namespace walback {

/// What a command that works with an archive opens first.
struct ArchiveSession {
  Config config;
  ArchiveContext archive;
  Catalog catalog;
};

/// The base backups as they lie on disk, for a catalog that must be built anew.
[[nodiscard]] ListBackups backups_on_disk(const ArchiveContext& archive);

[[nodiscard]] Result<ArchiveContext> open_configured_archive(const Context& context, const Config& config);

/// Brings the index up to what is on disk now, then opens the catalog: for every command that judges.
[[nodiscard]] Result<ArchiveSession> open_fresh_archive(const Context& context);

/// The checksums with which finished segments were indexed, for a restore's feeder. Its own connection to the
/// catalog: the feeder runs in a thread of its own.
[[nodiscard]] Result<std::function<std::optional<std::uint32_t>(const PlannedSegment&)>> checksums_of(
    const Path& catalog_path);

/// Notes in the catalog that a segment is not what was indexed, so that plans count without it until an
/// intake has read it again: it then says precisely what is damaged, or that a good copy is back.
[[nodiscard]] std::function<void(const PlannedSegment&, const std::string& problem)> damage_recorder(
    const ArchiveContext& archive);

/// Roles of a restored cluster that may be its superuser, most likely first.
[[nodiscard]] std::vector<std::string> likely_superusers(const Config& config);

}  // namespace walback
