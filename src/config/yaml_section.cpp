#include "config/yaml_section.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <set>

#include "base/text.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits{
    {{"ms", 1}, {"s", 1'000}, {"min", 60'000}, {"h", 3'600'000}}};

std::string kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return "a value";
}

bool is_name(std::string_view text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) != 0) return false;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') return false;
  }
  return true;
}

}  // namespace

void Faults::add(const YAML::Mark& mark, const std::string& text) {
  lines_.push_back(mark.is_null() ? text : fmt::format("line {}: {}", mark.line + 1, text));
}

std::string expand_environment(std::string_view text, const EnvironmentLookup& environment,
                               std::string& problem) {
  std::string expanded;
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      expanded += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const auto end = text.find('}');
      const std::string name(text.substr(2, end == std::string_view::npos ? end : end - 2));
      if (end == std::string_view::npos || !is_name(name)) {
        problem = fmt::format("'${{{}' is no ${{NAME}}; write $${{ for a plain ${{", name);
        return {};
      }
      const auto value = environment(name);
      if (!value) {
        problem = fmt::format("${{{}}} is not set in the environment", name);
        return {};
      }
      expanded += *value;
      text.remove_prefix(end + 1);
    } else {
      expanded += text.front();
      text.remove_prefix(1);
    }
  }
  return expanded;
}

std::optional<milliseconds> parse_duration(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) return std::nullopt;
  const auto count = parse_decimal(text.substr(0, digits));
  const std::string_view unit = trim(text.substr(digits));
  for (const auto& [name, unit_ms] : kUnits) {
    if (unit != name || !count || *count > 1'000'000'000) continue;
    return milliseconds(static_cast<std::int64_t>(*count) * unit_ms);
  }
  return std::nullopt;
}

std::string render_duration(milliseconds duration) {
  for (auto unit = kUnits.rbegin(); unit != kUnits.rend(); ++unit) {
    if (duration.count() % unit->second == 0 && duration.count() >= unit->second) {
      return fmt::format("{}{}", duration.count() / unit->second, unit->first);
    }
  }
  return "0ms";
}

YamlSection::YamlSection(YAML::Node node, std::string path, Faults& faults,
                         const EnvironmentLookup& environment)
    : node_(std::move(node)), path_(std::move(path)), faults_(&faults), environment_(&environment) {
  if (!node_.IsDefined() || node_.IsNull()) {
    node_.reset(YAML::Node(YAML::NodeType::Map));  // = would write into the document
  } else if (!node_.IsMap()) {
    faults_->add(node_.Mark(), fmt::format("{} is {}, expected a mapping of keys",
                                           path_.empty() ? "the file" : path_, kind_of(node_)));
    node_.reset(YAML::Node(YAML::NodeType::Map));  // = would write into the document
  }
}

YAML::Node YamlSection::find(const std::string& key) {
  asked_.push_back(key);
  for (const auto& pair : node_) {
    if (pair.first.IsScalar() && pair.first.Scalar() == key) {
      return pair.second.IsNull() ? YAML::Node(YAML::NodeType::Undefined) : pair.second;
    }
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

std::optional<std::string> YamlSection::scalar_of(const YAML::Node& node, const std::string& name) {
  if (!node.IsScalar()) {
    faults_->add(node.Mark(), fmt::format("{} is {}, expected a single value", name, kind_of(node)));
    return std::nullopt;
  }
  if (node.Scalar().find('\0') != std::string::npos) {
    faults_->add(node.Mark(), fmt::format("{} holds a zero byte", name));
    return std::nullopt;
  }
  std::string problem;
  std::string value = expand_environment(node.Scalar(), *environment_, problem);
  if (problem.empty()) return value;
  faults_->add(node.Mark(), fmt::format("{}: {}", name, problem));
  return std::nullopt;
}

std::optional<std::string> YamlSection::scalar(const std::string& key) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return std::nullopt;
  return scalar_of(node, name_of(key));
}

void YamlSection::text(const std::string& key, std::string& into) {
  if (auto value = scalar(key)) into = *std::move(value);
}

void YamlSection::path(const std::string& key, Path& into, const Path& base) {
  const auto value = scalar(key);
  if (!value) return;
  if (value->empty()) return fault(key, "is empty, expected a path");
  into = (base / *value).lexically_normal();
  if (!into.has_filename() && into != into.root_path()) into = into.parent_path();
}

void YamlSection::boolean(const std::string& key, bool& into) {
  const auto value = scalar(key);
  if (!value) return;
  if (*value == "true" || *value == "yes" || *value == "on") {
    into = true;
  } else if (*value == "false" || *value == "no" || *value == "off") {
    into = false;
  } else {
    fault(key, fmt::format("is '{}', expected true or false", *value));
  }
}

void YamlSection::number(const std::string& key, unsigned& into, unsigned least, unsigned most) {
  const auto value = scalar(key);
  if (!value) return;
  const auto number = parse_decimal(*value);
  if (!number || *number < least || *number > most) {
    return fault(key, fmt::format("is '{}', expected a number from {} to {}", *value, least, most));
  }
  into = static_cast<unsigned>(*number);
}

void YamlSection::duration(const std::string& key, milliseconds& into, milliseconds least,
                           milliseconds most) {
  const auto value = scalar(key);
  if (!value) return;
  const auto duration = parse_duration(*value);
  if (!duration || *duration < least || *duration > most) {
    return fault(key, fmt::format("is '{}', expected {} to {}, with a unit (ms, s, min, h)", *value,
                                  render_duration(least), render_duration(most)));
  }
  into = *duration;
}

void YamlSection::texts(const std::string& key, std::vector<std::string>& into) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return;
  if (!node.IsSequence()) return fault(key, fmt::format("is {}, expected a list", kind_of(node)));
  std::vector<std::string> values;
  for (const auto& item : node) {
    if (auto value = scalar_of(item, fmt::format("{}[{}]", name_of(key), values.size()))) {
      values.push_back(*std::move(value));
    }
  }
  into = std::move(values);
}

void YamlSection::text_map(const std::string& key, std::map<std::string, std::string>& into) {
  YamlSection entries = section(key);
  std::set<std::string> names;
  for (const auto& pair : entries.node_) {
    if (pair.first.IsScalar()) names.insert(pair.first.Scalar());
  }
  for (const std::string& name : names) {
    if (auto value = entries.scalar(name)) into[name] = *std::move(value);
  }
  entries.finish();
}

YamlSection YamlSection::section(const std::string& key) {
  return {find(key), name_of(key), *faults_, *environment_};
}

std::vector<YamlSection> YamlSection::sections(const std::string& key) {
  std::vector<YamlSection> items;
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return items;
  if (!node.IsSequence()) {
    fault(key, fmt::format("is {}, expected a list", kind_of(node)));
    return items;
  }
  std::size_t index = 0;
  for (const auto& item : node) {
    YamlSection section(item, fmt::format("{}[{}]", name_of(key), index++), *faults_, *environment_);
    if (item.IsMap()) items.push_back(std::move(section));  // else its constructor has said so
  }
  return items;
}

void YamlSection::fault(const std::string& key, const std::string& text) {
  YAML::Mark mark = node_.Mark();
  for (const auto& pair : node_) {
    if (pair.first.IsScalar() && pair.first.Scalar() == key) mark = pair.first.Mark();
  }
  faults_->add(mark, fmt::format("{} {}", name_of(key), text));
}

void YamlSection::finish() {
  std::set<std::string> seen;
  for (const auto& pair : node_) {
    const YAML::Node& key = pair.first;
    if (!key.IsScalar()) {
      faults_->add(key.Mark(), fmt::format("{} as a key, expected a name", kind_of(key)));
      continue;
    }
    const std::string& name = key.Scalar();
    if (!seen.insert(name).second) {
      faults_->add(key.Mark(), fmt::format("{} stands there twice", name_of(name)));
      continue;
    }
    if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
    const auto near = nearest(name, asked_);
    faults_->add(
        key.Mark(),
        near ? fmt::format("{} is no key of walback, did you mean {}?", name_of(name), *near)
             : fmt::format("{} is no key of walback, expected one of {}", name_of(name), join(asked_, ", ")));
  }
}

}  // namespace walback
