#include "archive/known_cluster.h"

#include "catalog/held_wal.h"

namespace walback {

Result<KnownCluster> known_cluster(const ArchiveContext& archive) {
  KnownCluster known{
      archive.identity.system_identifier, TRY(newest_history(archive.files, archive.layout)), {}};
  if (!known.history) return known;
  // Without a catalog it is only known less well.
  const auto catalog = Catalog::open_read_only(archive.catalog_path);
  if (!catalog) return known;
  if (const auto newest = catalog->newest_segment(known.history->timeline); newest && *newest)
    known.held_up_to = (*newest)->valid_end_lsn;
  return known;
}

}  // namespace walback
