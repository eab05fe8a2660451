#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// "pg_ctl (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)" → {15, 20}; "17devel", "18beta1" → {17, 0}, {18, 0}.
struct ProgramVersion {
  int major = 0, minor = 0;
  auto operator<=>(const ProgramVersion&) const = default;
};
[[nodiscard]] std::optional<ProgramVersion> parse_program_version(std::string_view line);
/// Runs `<program> --version`.
[[nodiscard]] Result<ProgramVersion> program_version(const Path& program);

/// PostgreSQL's programs of one version.
struct Binaries {
  Path directory;
  int major = 0;
  int minor = 0;
  [[nodiscard]] Path program(const std::string& name) const { return directory / name; }
};

/// The names of all settings that this build of PostgreSQL may find in postgresql.conf, but for developers'
/// own (those that postgresql.conf.sample leaves out) and extensions': `postgres --describe-config`. In lower
/// case.
[[nodiscard]] Result<std::set<std::string>> known_settings(const Binaries& binaries);

/// Where to look, in this order: `configured` and nowhere else; the Debian directories, newest first;
/// `pg_config --bindir`; the directories of PATH.
struct BinarySearch {
  Path configured;                                             ///< postgres.bin of walback.yaml, or empty
  std::optional<int> wanted_major;                             ///< nothing: the newest
  std::vector<std::string> programs = {"postgres", "pg_ctl"};  ///< each must be there
  Path debian_root = "/usr/lib/postgresql";
  std::optional<std::string> path;  ///< instead of $PATH
};
/// None: not_found, with each place and what was wrong with it.
[[nodiscard]] Result<Binaries> find_binaries(const BinarySearch& search);
[[nodiscard]] inline Result<Binaries> find_binaries(const Path& configured,
                                                    std::optional<int> wanted_major = {}) {
  BinarySearch search;
  search.configured = configured;
  search.wanted_major = wanted_major;
  return find_binaries(search);
}

}  // namespace walback
