#pragma once
#include <yaml-cpp/yaml.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/duration.h"

namespace walback {

/// Collects everything that is wrong, so that a person mends a file once and not once a fault.
class Faults {
 public:
  void add(const YAML::Mark& mark, const std::string& text);
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

/// Replaces each `${NAME}`; `$${` stands for `${`. What is wrong is added to `problem`.
[[nodiscard]] std::string expand_environment(std::string_view text, const EnvironmentLookup& environment,
                                             std::string& problem);

/// One mapping of the file, being read key by key. A key that nobody asked for is a fault when the section
/// ends, and so is one that stands there twice. A null value means "as by default".
class YamlSection {
 public:
  YamlSection(YAML::Node node, std::string path, Faults& faults, const EnvironmentLookup& environment);

  /// All read the value into `into` if the key is there, and leave it alone if not or if it is wrong.
  void text(const std::string& key, std::string& into);
  void path(const std::string& key, Path& into, const Path& base);
  void boolean(const std::string& key, bool& into);
  void number(const std::string& key, unsigned& into, unsigned least, unsigned most);
  void duration(const std::string& key, std::chrono::milliseconds& into, std::chrono::milliseconds least,
                std::chrono::milliseconds most);
  void texts(const std::string& key, std::vector<std::string>& into);
  /// A mapping of names to texts, whatever the names.
  void text_map(const std::string& key, std::map<std::string, std::string>& into);
  /// The mappings under this key: one of its own, or the items of a list. Absent: none.
  [[nodiscard]] YamlSection section(const std::string& key);
  [[nodiscard]] std::vector<YamlSection> sections(const std::string& key);

  /// "<path of the key>: <text>" at the key's line (the section's, if the key is not there).
  void fault(const std::string& key, const std::string& text);
  /// The keys that were not asked for. Call last.
  void finish();

 private:
  [[nodiscard]] YAML::Node find(const std::string& key);
  [[nodiscard]] std::optional<std::string> scalar(const std::string& key);
  [[nodiscard]] std::optional<std::string> scalar_of(const YAML::Node& node, const std::string& name);
  [[nodiscard]] std::string name_of(const std::string& key) const {
    return path_.empty() ? key : path_ + "." + key;
  }

  YAML::Node node_;
  std::string path_;
  Faults* faults_;
  const EnvironmentLookup* environment_;
  std::vector<std::string> asked_;
};

}  // namespace walback
