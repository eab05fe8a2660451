#pragma once
#include <filesystem>
#include <string>

#include "base/result.h"
#include "wal/segment_name.h"

namespace walback {

/// Every path inside an archive is built here and nowhere else.
///
///     <archive>/walback-archive.json    whose archive this is (ArchiveIdentity)
///               wal/<epoch>/            what pg_receivewal writes; "0001", "0002", …
///               backups/<id>/           base backups; an unfinished one is ".<id>.unfinished"
///               journal.jsonl           what cannot be read back from WAL or backups; older parts of it are
///                                       journal.compacted.jsonl and journal.closed.jsonl
///               catalog.sqlite          the index (unless `catalog:` puts it elsewhere)
///               capture.status          the capturer's own progress, replaced atomically
///               manage.status           the WAL manager's
///               locks/<role>.lock       one writer a role, with the holder's pid
struct ArchiveLayout {
  std::filesystem::path root;

  [[nodiscard]] std::filesystem::path identity() const { return root / "walback-archive.json"; }
  [[nodiscard]] std::filesystem::path wal() const { return root / "wal"; }
  [[nodiscard]] std::filesystem::path epoch(std::uint32_t number) const;
  [[nodiscard]] std::filesystem::path backups() const { return root / "backups"; }
  [[nodiscard]] std::filesystem::path backup(const std::string& id) const { return backups() / id; }
  [[nodiscard]] std::filesystem::path unfinished_backup(const std::string& id) const;
  [[nodiscard]] std::filesystem::path journal() const { return root / "journal.jsonl"; }
  [[nodiscard]] std::filesystem::path catalog() const { return root / "catalog.sqlite"; }
  [[nodiscard]] std::filesystem::path capture_status() const { return root / "capture.status"; }
  [[nodiscard]] std::filesystem::path manage_status() const { return root / "manage.status"; }
  [[nodiscard]] std::filesystem::path lock(const std::string& role) const;
};

/// Whose archive this is. Written once by `walback init`; every segment and backup is held against it.
struct ArchiveIdentity {
  std::uint64_t system_identifier = 0;
  SegmentSize segment_size;
  bool operator==(const ArchiveIdentity&) const = default;
};

[[nodiscard]] std::string to_text(const ArchiveIdentity& identity);
[[nodiscard]] Result<ArchiveIdentity> parse_archive_identity(const std::string& text,
                                                             const std::string& what);

}  // namespace walback
