#include "restore/preloads.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "restore/conf_file.h"

namespace walback {
namespace {

constexpr std::array<std::string_view, 4> kSettings = {
    "shared_preload_libraries", "session_preload_libraries", "local_preload_libraries", "jit_provider"};
/// Libraries whose background workers would start jobs in the copy.
constexpr std::array<std::string_view, 4> kJobLibraries = {"pg_cron", "pg_partman_bgw", "pgagent",
                                                           "pg_timetable"};

}  // namespace

bool names_libraries(std::string_view setting) {
  return std::ranges::find(kSettings, setting) != kSettings.end();
}

std::vector<std::string> all_libraries(std::string_view list) {
  std::vector<std::string> libraries;
  for (std::string_view part : split(list, ',')) {
    part = trim(part);
    if (part.size() >= 2 && part.starts_with('"') && part.ends_with('"'))
      part = part.substr(1, part.size() - 2);
    if (!part.empty()) libraries.emplace_back(part);
  }
  return libraries;
}

bool starts_jobs(std::string_view library) {
  if (const auto slash = library.rfind('/'); slash != std::string_view::npos)
    library.remove_prefix(slash + 1);
  if (library.ends_with(".so")) library.remove_suffix(3);
  return std::find(kJobLibraries.begin(), kJobLibraries.end(), library) != kJobLibraries.end();
}

std::vector<std::string> libraries_of(std::string_view list) {
  std::vector<std::string> kept = all_libraries(list);
  std::erase_if(kept, starts_jobs);
  return kept;
}

std::vector<Preload> preloads(std::string_view base_conf, std::string_view base_auto_conf,
                              const std::map<std::string, std::string>& overrides) {
  std::map<std::string, std::pair<std::string, bool>> lists;
  for (const std::string_view text : {base_conf, base_auto_conf}) {
    for (const ConfLine& line : parse_settings(text)) {
      if (names_libraries(line.name)) lists[line.name] = {line.value, false};
    }
  }
  for (const auto& [name, value] : overrides) {
    if (names_libraries(setting_name(name))) lists[setting_name(name)] = {value, true};
  }
  std::vector<Preload> found;
  for (const std::string_view setting : kSettings) {
    const auto list = lists.find(std::string(setting));
    if (list == lists.end()) continue;
    for (std::string& library : libraries_of(list->second.first)) {
      found.push_back({list->first, std::move(library), list->second.second});
    }
  }
  return found;
}

Path library_file(const Path& directory, const Preload& preload) {
  std::string_view library = preload.library;
  constexpr std::string_view kLibdir = "$libdir/";
  constexpr std::string_view kPlugins = "plugins/";
  if (library.starts_with(kLibdir)) library.remove_prefix(kLibdir.size());
  // Whoever may set this may load nothing but what is in there.
  const bool plugin = preload.setting == "local_preload_libraries" && !library.starts_with(kPlugins);
  const Path place = plugin ? directory / "plugins" : directory;
  return place / (library.ends_with(".so") ? std::string(library) : std::string(library) + ".so");
}

}  // namespace walback
