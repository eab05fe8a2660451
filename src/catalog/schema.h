#pragma once
#include "base/result.h"
#include "catalog/database.h"

namespace walback {

/// "WALB" in the file's header: `file catalog.sqlite` shows it.
inline constexpr std::int64_t kApplicationId = 0x57414C42;

/// The version of the newest step in the table of migrations.
[[nodiscard]] std::int64_t newest_schema();

/// Conflict for a schema newer than ours and for a database of another program; nothing is written.
[[nodiscard]] Status refuse_other_schema(Database& database);

/// Brings an empty file or an older schema to the newest, each step in a transaction with its version.
/// Errors: conflict for a newer schema and for a database of another program.
[[nodiscard]] Status migrate(Database& database);

/// The same judgement for a reader, who may not migrate: an older schema is a conflict too.
[[nodiscard]] Status require_newest_schema(Database& database);

}  // namespace walback
