#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// walback.yaml as a value. Every default stands here and nowhere else. Paths are absolute once loaded
/// (relative ones are taken from the file's directory).
struct Config {
  struct Primary {
    std::string conninfo;  ///< never with a password
    std::string slot = "walback";
    bool operator==(const Primary&) const = default;
  };
  struct Postgres {
    Path bin;  ///< empty: found (pg/binaries.h)
    bool operator==(const Postgres&) const = default;
  };
  struct Capture {
    bool synchronous = true;
    std::chrono::milliseconds restart_min{500};  ///< back-off between two starts of pg_receivewal
    std::chrono::milliseconds restart_max{15'000};
    /// Room on the archive's file system below which capturing pauses; 0: three segments, at least 64 MB.
    unsigned reserve_mb = 0;
    bool operator==(const Capture&) const = default;
  };
  struct Manage {
    std::chrono::milliseconds interval{1'000};  ///< the longest wait for news of the open segment
    std::chrono::milliseconds scan_interval{60'000};
    std::chrono::milliseconds watermark_interval{5'000};
    bool mirror = true;
    bool operator==(const Manage&) const = default;
  };
  struct Restore {
    unsigned jobs = 0;  ///< 0: as many as there are cores
    std::string listen_addresses = "127.0.0.1";
    /// `trust` on the socket is no wider than the files: only the data directory's owner and root can enter
    /// the socket's directory. `peer` would lock out both, unless the owner is named like a database role.
    std::vector<std::string> hba = {"local all all trust", "host all all 127.0.0.1/32 scram-sha-256",
                                    "host all all ::1/128 scram-sha-256"};
    std::map<std::string, std::string> settings;  ///< for the restored cluster's postgresql.conf
    bool operator==(const Restore&) const = default;
  };
  /// A server that may become the primary, and its slot there.
  struct Standby {
    std::string name, conninfo, slot = "walback";
    bool operator==(const Standby&) const = default;
  };

  Path file;  ///< where it was read; empty for one made in memory
  Path archive;
  Path catalog;  ///< empty: inside the archive; ask catalog_file()
  Primary primary;
  std::vector<Standby> standbys;
  Postgres postgres;
  Capture capture;
  Manage manage;
  Restore restore;
  std::string time_zone = "UTC";  ///< for times that a person writes without a zone

  [[nodiscard]] Path catalog_file() const { return catalog.empty() ? archive / "catalog.sqlite" : catalog; }
  bool operator==(const Config&) const = default;
};

/// What `${NAME}` in the file reads; a test gives its own.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// The file named by a person (`-c`), else $WALBACK_CONFIG, else the first of ./walback.yaml and
/// /etc/walback/walback.yaml that exists. None: not_found, naming where it looked. Absolute: ask before
/// drop_root() may leave the current directory.
[[nodiscard]] Result<Path> find_config(FileSystem& files, const std::optional<Path>& named);

/// Reads, checks, and reports every fault at once (kind config, one a line: key path, what was found, what
/// is allowed).
[[nodiscard]] Result<Config> load_config(FileSystem& files, const Path& file);

/// The same from text. `file` names the source in errors, and its directory is where relative paths start.
/// `default_time_zone` stands where the text has no time_zone.
[[nodiscard]] Result<Config> parse_config(std::string_view text, const Path& file,
                                          const EnvironmentLookup& environment,
                                          const std::string& default_time_zone = "UTC");

/// The system's zone name: $TZ, /etc/localtime's link, /etc/timezone; else "UTC".
[[nodiscard]] std::string system_time_zone();

/// The file that `walback init` writes: every key, with its meaning. Parsed again it gives the same Config.
[[nodiscard]] std::string annotated_config(const Config& config);

}  // namespace walback
