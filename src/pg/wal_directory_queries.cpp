#include "pg/wal_directory_queries.h"

namespace walback {
namespace {

constexpr const char* kOldest = R"(
  SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY substr(name, 9) LIMIT 1)";

// Before 15 only superusers may, and has_parameter_privilege is not there.
constexpr const char* kMaySetFrom15 = "SELECT has_parameter_privilege('lc_messages', 'SET')";
constexpr const char* kMaySetBefore15 = "SELECT current_setting('is_superuser') = 'on'";
constexpr int kFirstWithParameterPrivileges = 150000;

}  // namespace

Result<std::optional<std::string>> oldest_wal_file(Connection& connection) {
  const auto rows = connection.query(kOldest);
  if (!rows && connection.sqlstate() == "42501") return std::optional<std::string>{};
  if (!rows) return tl::unexpected(rows.error());
  if (rows->count() == 0) return std::optional<std::string>{};
  return std::optional<std::string>{rows->text(0, 0)};
}

Result<bool> may_set_lc_messages(Connection& connection) {
  const bool from_15 = connection.server_version_num() >= kFirstWithParameterPrivileges;
  return TRY(connection.query(from_15 ? kMaySetFrom15 : kMaySetBefore15)).boolean(0, 0);
}

}  // namespace walback
