#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "os/file_system.h"

namespace walback {

/// A library that a server loads because a setting names it: at its start, or with each session. One that is
/// not installed keeps the server from starting, or everybody from connecting.
struct Preload {
  std::string setting;
  std::string library;
  bool asked_for = false;  ///< by walback.yaml, not by the base
  auto operator<=>(const Preload&) const = default;
};

/// Settings that name libraries: lists of them, but for jit_provider.
[[nodiscard]] bool names_libraries(std::string_view setting);
/// All that a list names, unquoted.
[[nodiscard]] std::vector<std::string> all_libraries(std::string_view list);
/// Those that would start jobs in the copy left out.
[[nodiscard]] std::vector<std::string> libraries_of(std::string_view list);
[[nodiscard]] bool starts_jobs(std::string_view library);

/// What the copy of a base would load: its own settings, or walback.yaml's in their place.
[[nodiscard]] std::vector<Preload> preloads(std::string_view base_conf, std::string_view base_auto_conf,
                                            const std::map<std::string, std::string>& overrides);

/// The file that it is loaded from; `directory` is PostgreSQL's own for libraries.
[[nodiscard]] Path library_file(const Path& directory, const Preload& preload);

}  // namespace walback
