#include "pg/binaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::chrono::seconds kVersionTimeout{10};

/// The directories of PATH, and what `pg_config` found there says.
std::vector<Path> path_directories(const std::string& path) {
  std::vector<Path> directories;
  for (const std::string_view part : split(path, ':')) {
    if (part.starts_with('/')) directories.emplace_back(part);
  }
  return directories;
}

std::vector<Path> debian_directories(const Path& root) {
  std::vector<std::pair<std::uint64_t, Path>> found;
  if (const auto entries = real_file_system().list(root)) {
    for (const DirectoryEntry& entry : *entries) {
      if (const auto major = parse_decimal(entry.name)) found.emplace_back(*major, root / entry.name / "bin");
    }
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<Path> directories;
  for (auto& [major, directory] : found) directories.push_back(std::move(directory));
  return directories;
}

std::optional<Path> pg_config_directory(const std::vector<Path>& path) {
  for (const Path& directory : path) {
    const Path program = directory / "pg_config";
    if (!exists(real_file_system(), program)) continue;
    const auto output = run(Command{program, {"--bindir"}, {}, "/"}, kVersionTimeout);
    if (output && output->status.success() && trim(output->out).starts_with('/')) {
      return Path(trim(output->out));
    }
  }
  return std::nullopt;
}

/// The programs' version if all of them are there and it is the wanted one; else what is wrong.
tl::expected<Binaries, std::string> examine(const Path& directory, const BinarySearch& search) {
  for (const std::string& name : search.programs) {
    if (!exists(real_file_system(), directory / name)) return tl::unexpected<std::string>("no " + name);
  }
  const auto version = program_version(directory / search.programs.front());
  if (!version) return tl::unexpected<std::string>(version.error().message);
  if (search.wanted_major && version->major != *search.wanted_major) {
    return tl::unexpected<std::string>(fmt::format("version {}", version->major));
  }
  return Binaries{directory, version->major, version->minor};
}

}  // namespace

std::optional<ProgramVersion> parse_program_version(std::string_view line) {
  constexpr std::string_view mark = "(PostgreSQL) ";
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(at + mark.size());
  const auto take_number = [&rest] {
    std::size_t digits = 0;
    while (digits < rest.size() && std::isdigit(static_cast<unsigned char>(rest[digits])) != 0) ++digits;
    const auto number = parse_decimal(rest.substr(0, digits));
    rest.remove_prefix(digits);
    return number;
  };
  const auto major = take_number();
  if (!major || *major > 1000) return std::nullopt;
  ProgramVersion version{static_cast<int>(*major), 0};
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    const auto minor = take_number();
    if (!minor || *minor > 1000) return std::nullopt;
    version.minor = static_cast<int>(*minor);
  }
  return version;
}

Result<ProgramVersion> program_version(const Path& program) {
  const Output output = TRY(run(Command{program, {"--version"}, {}, "/"}, kVersionTimeout));
  const auto version = output.status.success() ? parse_program_version(output.out) : std::nullopt;
  if (!version) {
    const std::string said =
        output.status.success() ? fmt::format("'{}'", trim(output.out)) : to_string(output.status);
    return fail(ErrorKind::not_found, fmt::format("'{} --version' gave {}, expected a version of PostgreSQL",
                                                  program.string(), said));
  }
  return *version;
}

Result<std::set<std::string>> known_settings(const Binaries& binaries) {
  const Path program = binaries.program("postgres");
  const Output output = TRY(run(Command{program, {"--describe-config"}, {}, "/"}, kVersionTimeout));
  std::set<std::string> names;
  for (const std::string_view line : split(output.out, '\n')) {
    std::string name(line.substr(0, line.find('\t')));
    if (name.size() == line.size()) continue;
    // DateStyle, TimeZone: PostgreSQL does not tell cases apart, and neither may we.
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    names.insert(std::move(name));
  }
  if (!output.status.success() || names.empty()) {
    return fail(ErrorKind::not_found, fmt::format("'{} --describe-config' gave no settings: {}",
                                                  program.string(), trim(output.err)));
  }
  return names;
}

Result<Binaries> find_binaries(const BinarySearch& search) {
  std::vector<Path> places;
  if (!search.configured.empty()) {
    places.push_back(search.configured);
  } else {
    const auto path =
        path_directories(search.path ? *search.path : environment_variable("PATH").value_or("/usr/bin:/bin"));
    places = debian_directories(search.debian_root);
    if (places.empty()) places.push_back(search.debian_root);
    if (const auto directory = pg_config_directory(path)) places.push_back(*directory);
    places.insert(places.end(), path.begin(), path.end());
  }
  std::set<Path> seen;
  std::vector<std::string> wrong;
  for (const Path& place : places) {
    if (!seen.insert(place).second) continue;
    auto binaries = examine(place, search);
    if (binaries) return *std::move(binaries);
    wrong.push_back(fmt::format("{} ({})", place.string(), binaries.error()));
  }
  const std::string wanted = search.wanted_major ? fmt::format(" {}", *search.wanted_major) : "";
  return fail(
      ErrorKind::not_found,
      fmt::format("the programs of PostgreSQL{} were not found in {}", wanted, join(wrong, ", ")),
      "Install them (on Debian: the package postgresql or postgresql-<major>), or name their directory as "
      "postgres.bin in walback.yaml.");
}

}  // namespace walback
