#include "catalog/catalog.h"

#include <fmt/format.h>

#include "catalog/catalog_impl.h"
#include "catalog/schema.h"

namespace walback {
namespace {

/// Readers and the writer do not wait for each other only in this mode; it needs memory that processes share,
/// which network file systems do not have.
Status use_wal_journal(Database& database, const Path& path) {
  Statement statement = TRY(database.statement("PRAGMA journal_mode = WAL"));
  const std::string mode = TRY(statement.step()) ? statement.text(0) : std::string();
  if (mode == "wal" || path == ":memory:") return {};
  return fail(ErrorKind::conflict,
              fmt::format("the catalog {} cannot use a write-ahead journal (its journal mode stays '{}')",
                          path.string(), mode),
              "Put it on a local file system with `catalog:` in walback.yaml.");
}

}  // namespace

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::Catalog(Catalog&&) noexcept = default;
Catalog& Catalog::operator=(Catalog&&) noexcept = default;
Catalog::~Catalog() = default;

Result<Catalog> Catalog::open(const Path& path) {
  auto impl = std::make_unique<Impl>();
  impl->database = TRY(Database::open(path, Database::Access::read_write));
  TRY(refuse_other_schema(*impl->database));
  TRY(use_wal_journal(*impl->database, path));
  // NORMAL: a power cut may cost the last transactions and never the file's integrity. FULL would fsync every
  // commit to keep rows that are read again from WAL, backups and journal anyway.
  TRY(impl->database->execute(
      "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864"));
  TRY(migrate(*impl->database));
  return Catalog(std::move(impl));
}

Result<Catalog> Catalog::open_read_only(const Path& path) {
  auto impl = std::make_unique<Impl>();
  impl->database = TRY(Database::open(path, Database::Access::read_only));
  TRY(impl->database->execute("PRAGMA cache_size = -16000"));
  TRY(require_newest_schema(*impl->database));
  return Catalog(std::move(impl));
}

Status Catalog::transaction(const std::function<Status()>& work) {
  return impl_->database->atomically(work);
}

Status Catalog::write_through() {
  return impl_->database->execute("PRAGMA synchronous = FULL");
}

Status Catalog::consistent_reads(const std::function<Status()>& work) const {
  return impl_->database->consistently(work);
}

Result<std::optional<std::string>> Catalog::fact(const std::string& key) const {
  Statement statement = TRY(impl_->database->statement("SELECT value FROM facts WHERE key = ?"));
  statement.bind(key);
  return catalog_read::first<std::string>(statement, [](const Statement& row) { return row.text(0); });
}

Status Catalog::put_fact(const std::string& key, const std::string& value) {
  Statement statement = TRY(impl_->database->statement(
      "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"));
  return statement.bind(key, value).run();
}

tl::unexpected<Error> catalog_read::unknown_word(const Database& database, std::string_view what,
                                                 const std::string& word) {
  return fail(ErrorKind::corrupt,
              fmt::format("the catalog {} is damaged: '{}' is no {}", database.path().string(), word, what),
              rebuild_hint());
}

}  // namespace walback
