#include "catalog/verified_journal.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "os/crash_point.h"

namespace walback {
namespace {

constexpr const char* kLastVerificationFact = "last_verification";
constexpr const char* kVerifiedFromFact = "verified_from_us";

Json started(Timestamp at, std::string_view kind) {
  return Json{{"at", to_rfc3339(at)}, {"kind", kind}};
}
JournalEntry entry_of(Timestamp at, Json body) {
  return {at, body["kind"].get<std::string>(), std::move(body)};
}

tl::unexpected<Error> incomplete(const JournalEntry& entry) {
  return fail(ErrorKind::corrupt, fmt::format("the journal's entry '{}' of {} is incomplete: {}", entry.kind,
                                              to_rfc3339(entry.at), to_line(entry.body)));
}

/// The members of one entry, and whether all that were asked for were there.
class Members {
 public:
  explicit Members(const Json& body) : body_(body) {}

  template <class T>
  T number(std::string_view key) {
    // Signed as it was made or unsigned as it was read: none of them reaches 2^63.
    const auto found = member<std::int64_t>(body_, key);
    whole_ = whole_ && found && std::in_range<T>(*found);
    return whole_ ? static_cast<T>(*found) : T{};
  }
  Timestamp time(std::string_view key) { return {number<std::int64_t>(key)}; }
  bool truth(std::string_view key) {
    const auto found = member<bool>(body_, key);
    whole_ = whole_ && found;
    return found.value_or(false);
  }
  std::string text(std::string_view key) {
    auto found = member<std::string>(body_, key);
    whole_ = whole_ && found;
    return found.value_or("");
  }
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  const Json& body_;
  bool whole_ = true;
};

}  // namespace

JournalEntry journal_entry(const VerifiedRun& run) {
  Json body = started(run.verified_at, "verified_wal");
  body["timeline"] = run.timeline.value;
  body["epoch"] = run.epoch;
  body["first"] = run.first.value;
  body["last"] = run.last.value;
  body["digest"] = run.digest;
  body["verified_at_us"] = run.verified_at.unix_us;
  return entry_of(run.verified_at, std::move(body));
}

JournalEntry journal_entry(const VerifiedBackup& backup) {
  Json body = started(backup.verified_at, "verified_backup");
  body["id"] = backup.id;
  body["digest"] = backup.digest;
  body["verified_at_us"] = backup.verified_at.unix_us;
  return entry_of(backup.verified_at, std::move(body));
}

JournalEntry journal_entry(const VerificationRow& verification) {
  Json body = started(verification.finished_at, "verification");
  body["started_at_us"] = verification.started_at.unix_us;
  body["finished_at_us"] = verification.finished_at.unix_us;
  body["everything"] = verification.everything;
  body["read_bytes"] = verification.read_bytes;
  body["segments"] = verification.segments;
  body["backups"] = verification.backups;
  body["findings"] = verification.findings;
  body["oldest_look_us"] = verification.oldest_look.unix_us;
  return entry_of(verification.finished_at, std::move(body));
}

JournalEntry journal_entry(const DrillRow& drill) {
  const Timestamp at = drill.finished_at.value_or(drill.started_at);
  Json body = started(at, "drill");
  body["state"] = name_of(drill.state);
  body["started_at_us"] = drill.started_at.unix_us;
  if (drill.finished_at) body["finished_at_us"] = drill.finished_at->unix_us;
  body["seed"] = drill.seed;
  body["target"] = drill.target;
  body["directory"] = drill.directory;
  body["rto_us"] = drill.rto_us;
  body["base_bytes"] = drill.base_bytes;
  body["wal_bytes"] = drill.wal_bytes;
  body["checks"] = drill.checks;
  body["error"] = drill.error;
  body["kept"] = drill.kept;
  return entry_of(at, std::move(body));
}

JournalEntry verify_all_begun_entry(Timestamp at) {
  Json body = started(at, "verify_all_begun");
  body["at_us"] = at.unix_us;
  return entry_of(at, std::move(body));
}

Result<VerifiedRun> verified_run_of(const JournalEntry& entry) {
  Members in(entry.body);
  const VerifiedRun run{.timeline = {in.number<std::uint32_t>("timeline")},
                        .epoch = in.number<std::uint32_t>("epoch"),
                        .first = {in.number<std::uint64_t>("first")},
                        .last = {in.number<std::uint64_t>("last")},
                        .digest = in.number<std::uint32_t>("digest"),
                        .verified_at = in.time("verified_at_us")};
  if (!in.whole() || run.last < run.first) return incomplete(entry);
  return run;
}

Result<VerifiedBackup> verified_backup_of(const JournalEntry& entry) {
  Members in(entry.body);
  const VerifiedBackup backup{in.text("id"), in.number<std::uint32_t>("digest"), in.time("verified_at_us")};
  if (!in.whole()) return incomplete(entry);
  return backup;
}

Result<VerificationRow> verification_of(const JournalEntry& entry) {
  Members in(entry.body);
  const VerificationRow row{.started_at = in.time("started_at_us"),
                            .finished_at = in.time("finished_at_us"),
                            .everything = in.truth("everything"),
                            .read_bytes = in.number<std::uint64_t>("read_bytes"),
                            .segments = in.number<std::uint64_t>("segments"),
                            .backups = in.number<std::uint64_t>("backups"),
                            .findings = in.number<std::uint64_t>("findings"),
                            .oldest_look = in.time("oldest_look_us")};
  if (!in.whole()) return incomplete(entry);
  return row;
}

Result<DrillRow> drill_of(const JournalEntry& entry) {
  Members in(entry.body);
  const auto state = drill_state_named(in.text("state"));
  DrillRow row{.started_at = in.time("started_at_us"),
               .finished_at = {},
               .state = state.value_or(DrillState::failed),
               .seed = in.number<std::uint64_t>("seed"),
               .target = in.text("target"),
               .directory = in.text("directory"),
               .rto_us = in.number<std::int64_t>("rto_us"),
               .base_bytes = in.number<std::uint64_t>("base_bytes"),
               .wal_bytes = in.number<std::uint64_t>("wal_bytes"),
               .checks = in.text("checks"),
               .error = in.text("error"),
               .kept = in.truth("kept")};
  if (entry.body.contains("finished_at_us")) row.finished_at = in.time("finished_at_us");
  if (!in.whole() || !state) return incomplete(entry);
  return row;
}

bool is_whole_verified_entry(const JournalEntry& entry) {
  if (entry.kind == "verified_wal") return verified_run_of(entry).has_value();
  if (entry.kind == "verified_backup") return verified_backup_of(entry).has_value();
  if (entry.kind == "verification") return verification_of(entry).has_value();
  if (entry.kind == "drill") return drill_of(entry).has_value();
  if (entry.kind == "verify_all_begun") return member<std::int64_t>(entry.body, "at_us").has_value();
  return true;
}

Status replay_verified_entry(Catalog& catalog, const JournalEntry& entry) {
  if (entry.kind == "verified_wal") return catalog.put_verified(TRY(verified_run_of(entry)));
  if (entry.kind == "verified_backup") return catalog.put_verified(TRY(verified_backup_of(entry)));
  if (entry.kind == "verification") return catalog.put_fact(kLastVerificationFact, to_line(entry.body));
  if (entry.kind == "drill") return catalog.put_drill(TRY(drill_of(entry)));
  if (entry.kind == "verify_all_begun") {
    const auto at_us = member<std::int64_t>(entry.body, "at_us");
    if (!at_us) return incomplete(entry);
    return catalog.put_fact(kVerifiedFromFact, std::to_string(*at_us));
  }
  return {};
}

namespace {

Status record(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog, const JournalEntry& entry) {
  TRY(append_journal(files, layout.journal(), entry));
  crash_point("journal.appended");
  return replay_verified_entry(catalog, entry);
}

}  // namespace

Status record_verified(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                       const VerifiedRun& run) {
  return record(files, layout, catalog, journal_entry(run));
}
Status record_verified(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                       const VerifiedBackup& backup) {
  return record(files, layout, catalog, journal_entry(backup));
}
Status record_verification(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                           const VerificationRow& verification) {
  return record(files, layout, catalog, journal_entry(verification));
}
Status record_drill(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog, const DrillRow& drill) {
  return record(files, layout, catalog, journal_entry(drill));
}
Status begin_verifying_all(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog, Timestamp at) {
  return record(files, layout, catalog, verify_all_begun_entry(at));
}

Result<std::optional<VerificationRow>> last_verification(const Catalog& catalog) {
  const auto line = TRY(catalog.fact(kLastVerificationFact));
  if (!line) return std::optional<VerificationRow>{};
  const Json body = TRY(parse_json(*line, "the last verification in the catalog"));
  return TRY(verification_of({{}, "verification", body}));
}

Result<Timestamp> verified_from(const Catalog& catalog) {
  const auto text = TRY(catalog.fact(kVerifiedFromFact));
  return Timestamp{static_cast<std::int64_t>(text ? parse_decimal(*text).value_or(0) : 0)};
}

}  // namespace walback
