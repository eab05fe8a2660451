#pragma once
#include <string>

namespace walback {

/// An SQL expression that yields a timestamptz as microseconds since 1970, for Rows::time(): exact (extract()
/// is numeric since 14) and free of DateStyle and time zones.
[[nodiscard]] inline std::string sql_time(const std::string& expression) {
  return "(extract(epoch FROM " + expression + ") * 1000000)::bigint";
}

}  // namespace walback
