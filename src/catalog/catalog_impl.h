#pragma once
#include <memory>

#include "catalog/catalog.h"
#include "catalog/database.h"

/// What the parts of Catalog share. Private to catalog/.
namespace walback {

struct Catalog::Impl {
  std::unique_ptr<Database> database;
};

/// Segments are summarised in blocks of so many numbers (segment_blocks).
inline constexpr std::uint64_t kSegmentsPerBlock = 256;

namespace catalog_read {

[[nodiscard]] inline Lsn lsn(const Statement& row, int column) {
  return {static_cast<std::uint64_t>(row.integer(column))};
}
[[nodiscard]] inline TimelineId timeline(const Statement& row, int column) {
  return {static_cast<std::uint32_t>(row.integer(column))};
}
[[nodiscard]] inline Timestamp time(const Statement& row, int column) {
  return {row.integer(column)};
}
template <class T>
[[nodiscard]] std::optional<T> maybe(const Statement& row, int column, T value) {
  if (row.null(column)) return std::nullopt;
  return value;
}

/// The rows of a bound statement, each made by `read`.
template <class Row, class Read>
[[nodiscard]] Result<std::vector<Row>> all(Statement& statement, Read read) {
  std::vector<Row> rows;
  while (TRY(statement.step())) rows.push_back(TRY(Result<Row>(read(statement))));
  return rows;
}
template <class Row, class Read>
[[nodiscard]] Result<std::optional<Row>> first(Statement& statement, Read read) {
  if (!TRY(statement.step())) return std::nullopt;
  return TRY(Result<Row>(read(statement)));
}

/// What `work` has filled in, if it went well. (TRY around a lambda that uses TRY would shadow.)
template <class T>
[[nodiscard]] Result<T> filled(const Status& work, T& value) {
  if (!work) return tl::unexpected(work.error());
  return std::move(value);
}

/// A word in a row that is none of ours: the file is damaged.
[[nodiscard]] tl::unexpected<Error> unknown_word(const Database& database, std::string_view what,
                                                 const std::string& word);

}  // namespace catalog_read

/// The transaction ends of one row of wal_segments, part by part; `visit` returns false to stop.
[[nodiscard]] Status visit_stored_ends(Database& database, std::int64_t segment_id,
                                       const std::function<bool(TransactionEnd&&)>& visit);

}  // namespace walback
