#include "archive/known_cluster.h"

#include "catalog/held_wal.h"

namespace walback {

Result<KnownCluster> known_cluster(const ArchiveContext& archive) {
  return KnownCluster{archive.identity.system_identifier, TRY(newest_history(archive.files, archive.layout))};
}

}  // namespace walback
