#include "command/verify_backups.h"

#include <fmt/format.h>

#include <algorithm>

#include "backup/backup_digest.h"
#include "backup/backup_files.h"
#include "catalog/verified_journal.h"
#include "command/backup_soundness.h"
#include "os/system.h"
#include "restore/verify_base.h"

namespace walback {
namespace {

using Kind = BackupFinding::Kind;

class Verifier {
 public:
  Verifier(const ArchiveSession& session, Catalog& catalog, Timestamp since, Progress& progress,
           std::stop_token stop)
      : session_(session),
        archive_(session.archive),
        catalog_(catalog),
        since_(since),
        progress_(progress),
        stop_(std::move(stop)) {}

  Result<BackupVerification> run() {
    TRY(look_at_names());
    TRY(register_unknown_backups(archive_.files, archive_.layout, archive_.identity, catalog_));
    for (const BackupRow& backup : TRY(catalog_.backups())) TRY(verify(backup));
    return std::move(result_);
  }

 private:
  Status look_at_names() {
    const auto entries = archive_.files.list(archive_.layout.backups());
    if (!entries && entries.error().kind == ErrorKind::not_found) return {};
    const bool one_is_taken = FileLock::is_held(archive_.layout.lock("backup"));
    for (const DirectoryEntry& entry : TRY(Result<std::vector<DirectoryEntry>>(entries))) {
      const std::string& name = entry.name;
      if (entry.kind == FileKind::directory && parse_backup_id(name)) continue;
      if (name.starts_with(".") && name.ends_with(".unfinished")) {
        if (!one_is_taken)
          find(Kind::unfinished, name,
               "was left behind by a base backup, or by an expiry, that was cut short");
        continue;
      }
      const Path path(name);
      const bool facts = path.extension() == ".json" && parse_backup_id(path.stem().string());
      if (facts || name.ends_with(".tmp")) continue;
      find(Kind::unknown_name, (archive_.layout.backups() / name).string(), "no base backup has such a name");
    }
    return {};
  }

  Status verify(const BackupRow& backup) {
    if (stop_.stop_requested())
      return fail(ErrorKind::interrupted, "verification was interrupted",
                  "`walback verify` goes on from here.");
    const Path directory = archive_.layout.backup(backup.id);
    if (!exists(archive_.files, directory))
      return unusable(backup, Kind::missing, fmt::format("its directory '{}' is gone", directory.string()));
    const auto digest = digest_of_backup(archive_.files, directory);
    if (!digest) return unusable(backup, Kind::differs, digest.error().message);
    if (const auto known = TRY(catalog_.verified_backup(backup.id));
        known && known->digest == digest->value && known->verified_at >= since_ && backup.problem.empty()) {
      ++result_.backups_remembered;
      rely_on(known->verified_at);
      return {};
    }
    return read(backup, *digest);
  }

  Status read(const BackupRow& backup, const BackupDigest& digest) {
    const Timestamp begun = archive_.clock.now();
    // Says it in our words where a file is missing or short, and before everything is read.
    if (const Status files = check_backup(archive_.files, archive_.layout, backup.id, archive_.identity);
        !files)
      return unusable(backup, Kind::differs, files.error().message);
    const auto binaries = programs(backup);
    if (!binaries) {
      find(Kind::cannot_tell, backup.id, binaries.error().message);
      return {};
    }
    auto verification =
        TRY(BaseVerification::begin(archive_.files, *binaries, archive_.layout.backup(backup.id)));
    const Status verified = verification.finish(progress_, stop_, digest.size_bytes);
    progress_.finish();
    if (!verified && verified.error().kind != ErrorKind::corrupt) return verified;
    ++result_.backups_read;
    result_.read_bytes += digest.size_bytes;
    if (!verified) return unusable(backup, Kind::differs, verified.error().message);
    if (!backup.problem.empty()) TRY(call_usable_again(archive_, backup));
    rely_on(begun);
    return record_verified(archive_.files, archive_.layout, catalog_,
                           VerifiedBackup{backup.id, digest.value, begun});
  }

  [[nodiscard]] Result<Binaries> programs(const BackupRow& backup) const {
    BinarySearch search;
    search.configured = session_.config.postgres.bin;
    search.wanted_major = static_cast<int>(backup.server_version_num / 10000);
    search.programs = {"pg_verifybackup"};
    return find_binaries(search);
  }

  /// Expired meanwhile: then its row is gone, and nothing is wrong.
  Status unusable(const BackupRow& backup, Kind kind, const std::string& text) {
    const auto now = TRY(catalog_.backups());
    const auto row = std::ranges::find(now, backup.id, &BackupRow::id);
    if (row == now.end()) return {};
    find(kind, backup.id, text);
    const std::string problem = kind == Kind::differs ? fmt::format("{}: {}", kBytesDiffer, text) : text;
    return row->problem == problem ? Status{} : call_unusable(archive_, backup.id, problem);
  }

  void find(Kind kind, const std::string& id, std::string text) {
    result_.findings.push_back({kind, id, std::move(text)});
  }
  void rely_on(Timestamp look) { result_.oldest_look = std::min(result_.oldest_look.value_or(look), look); }

  const ArchiveSession& session_;
  const ArchiveContext& archive_;
  Catalog& catalog_;
  Timestamp since_;
  Progress& progress_;
  std::stop_token stop_;
  BackupVerification result_;
};

}  // namespace

Result<BackupVerification> verify_backups(const ArchiveSession& session, Catalog& catalog, Timestamp since,
                                          Progress& progress, std::stop_token stop) {
  return Verifier(session, catalog, since, progress, std::move(stop)).run();
}

}  // namespace walback
