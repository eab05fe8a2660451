#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace walback {

/// Keys keep the order in which they were written: output is stable and reads from important to detailed.
using Json = nlohmann::ordered_json;

/// Never throws. `what` names the document in the error ("capture.status of archive …").
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what);

/// One line, never throws: bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string to_line(const Json& json);
/// Indented by two, the same promise.
[[nodiscard]] std::string to_text(const Json& json);

/// The member if it is there and of the type asked for (std::string, std::int64_t, std::uint64_t, bool,
/// double).
template <class T>
[[nodiscard]] std::optional<T> member(const Json& json, std::string_view key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end()) return std::nullopt;
  const bool fits = std::is_same_v<T, std::string>     ? found->is_string()
                    : std::is_same_v<T, bool>          ? found->is_boolean()
                    : std::is_same_v<T, std::uint64_t> ? found->is_number_unsigned()
                    : std::is_same_v<T, std::int64_t>  ? found->is_number_integer()
                                                       : found->is_number();
  if (!fits) return std::nullopt;
  return found->template get<T>();
}

}  // namespace walback
