#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/base_backup.h"
#include "catalog/archive.h"
#include "integration/support/throwaway_server.h"
#include "os/system.h"
#include "support/recording_log.h"

/// What a test of base backups needs: a primary, its slot, and an archive.
namespace walback::test {

inline constexpr const char* kSlot = "walback";

struct Silent final : Progress {
  void report(const ProgressState& state) override { seen.push_back(state); }
  void finish() override { finished = true; }
  std::vector<ProgressState> seen;
  bool finished = false;
};

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// A primary with its slot, and an archive bound to it.
class World {
 public:
  explicit World(ThrowawayOptions options = {}) {
    server = must(ThrowawayServer::create(options));
    auto connection = must(Connection::open(server->conninfo()));
    identity = must(server_identity(connection));
    archive.root = server->directory() / "archive";
    must(create_archive(real_file_system(), archive, of_archive()));
    must(create_slot(connection, kSlot));
    must(connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 300000) AS id"));
  }
  ArchiveIdentity of_archive() const { return {identity.system_identifier, identity.segment_size}; }
  BackupSetup setup(Catalog& catalog) {
    return {archive,
            server->conninfo(),
            kSlot,
            server->binaries(),
            false,
            real_file_system(),
            real_processes(),
            real_clock(),
            log,
            catalog};
  }
  std::vector<std::string> names_in_backups() const {
    std::vector<std::string> names;
    for (const auto& entry : must(real_file_system().list(archive.backups()))) names.push_back(entry.name);
    return names;
  }

  std::unique_ptr<ThrowawayServer> server;
  ServerIdentity identity;
  ArchiveLayout archive;
  RecordingLog log;
};

}  // namespace walback::test
