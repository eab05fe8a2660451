#include "sync/note.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

constexpr std::string_view kJournalKind = "synchronous";
constexpr std::array kEvents{std::pair{SynchronousEvent::on, "on"}, std::pair{SynchronousEvent::off, "off"},
                             std::pair{SynchronousEvent::fell_back, "fell_back"},
                             std::pair{SynchronousEvent::returned, "returned"}};

std::optional<Timestamp> time_in(const Json& json, std::string_view key) {
  const auto unix_us = member<std::int64_t>(json, key);
  return unix_us ? std::optional(Timestamp{*unix_us}) : std::nullopt;
}

/// A hand that wrote into the file cannot make the watcher mad.
std::chrono::milliseconds bounded(std::int64_t value, std::chrono::milliseconds least,
                                  std::chrono::milliseconds most) {
  return std::clamp(std::chrono::milliseconds(value), least, most);
}

}  // namespace

std::string to_text(const SynchronousNote& note) {
  Json json{{"timeout_ms", note.timeout.count()},
            {"names", note.names},
            {"fallback", note.fallback},
            {"reset", note.reset}};
  if (note.fell_back_at) json["fell_back_at_us"] = note.fell_back_at->unix_us;
  if (!note.reason.empty()) json["reason"] = note.reason;
  if (note.returned_at) json["returned_at_us"] = note.returned_at->unix_us;
  json["quiet_ms"] = note.quiet.count();
  return to_line(json);
}

Result<std::optional<SynchronousNote>> parse_synchronous_note(const std::string& text) {
  if (text.empty()) return std::optional<SynchronousNote>();
  const auto damaged = [] {
    return fail(ErrorKind::corrupt, "the primary's setting walback.synchronous is not what walback wrote",
                "`walback sync off`, then `walback sync on` writes it anew.");
  };
  const auto json = parse_json(text, "walback.synchronous");
  if (!json) return damaged();
  const auto timeout = member<std::int64_t>(*json, "timeout_ms");
  const auto names = member<std::string>(*json, "names");
  const auto fallback = member<std::string>(*json, "fallback");
  if (!timeout || !names || !fallback) return damaged();
  SynchronousNote note;
  note.timeout = bounded(*timeout, kShortestSynchronousTimeout, kLongestSynchronousTimeout);
  note.names = *names;
  note.fallback = *fallback;
  note.reset = member<bool>(*json, "reset").value_or(false);
  note.fell_back_at = time_in(*json, "fell_back_at_us");
  note.reason = member<std::string>(*json, "reason").value_or("");
  note.returned_at = time_in(*json, "returned_at_us");
  note.quiet = bounded(member<std::int64_t>(*json, "quiet_ms").value_or(kShortestQuiet.count()),
                       kShortestQuiet, kLongestQuiet);
  return std::optional(std::move(note));
}

SynchronousNote fallen_back(SynchronousNote note, Timestamp now, std::string reason) {
  const std::int64_t flap_us = std::chrono::microseconds(kFlapTime).count();
  const bool again = note.returned_at && now.unix_us - note.returned_at->unix_us < flap_us;
  note.quiet = again ? std::min(note.quiet * 2, kLongestQuiet) : kShortestQuiet;
  note.fell_back_at = now;
  note.reason = std::move(reason);
  return note;
}

SynchronousNote returned(SynchronousNote note, Timestamp now) {
  note.fell_back_at.reset();
  note.returned_at = now;
  return note;
}

std::string_view name_of(SynchronousState state) {
  switch (state) {
    case SynchronousState::off:
      return "off";
    case SynchronousState::unwatched:
      return "unwatched";
    case SynchronousState::waiting:
      return "waiting";
    case SynchronousState::fallen_back:
      return "fallen_back";
    case SynchronousState::overridden:
      return "overridden";
  }
  return "unknown";
}

SynchronousState synchronous_state(const std::optional<SynchronousNote>& note, const std::string& names,
                                   std::string_view receiver) {
  const auto parsed = parse_standby_names(names);
  if (!note) return parsed && lists(*parsed, receiver) ? SynchronousState::unwatched : SynchronousState::off;
  const auto same = [&](const std::string& other) {
    return names == other || (parsed && parsed == parse_standby_names(other));
  };
  if (same(note->names)) return SynchronousState::waiting;
  return same(note->fallback) ? SynchronousState::fallen_back : SynchronousState::overridden;
}

JournalEntry journal_entry(Timestamp at, SynchronousEvent event, const SynchronousNote& note) {
  Json body{{"at", to_rfc3339(at)}, {"kind", kJournalKind}};
  for (const auto& [each, name] : kEvents)
    if (each == event) body["event"] = name;
  body["timeout_ms"] = note.timeout.count();
  if (event == SynchronousEvent::fell_back) body["reason"] = note.reason;
  return {at, std::string(kJournalKind), std::move(body)};
}

void note_change(FileSystem& files, const ArchiveLayout& layout, Log& log, const JournalEntry& entry) {
  if (const auto journal = read_journal(files, layout.journal())) {
    for (const JournalEntry& each : journal->entries)
      if (each.body == entry.body) return;
  }
  const Status written = append_journal(files, layout.journal(), entry);
  if (!written) log.warn("sync", "journal_not_written", {{key::error, written.error().message}});
}

bool synchronous_mode_was_on(FileSystem& files, const ArchiveLayout& layout) {
  const auto journal = read_journal(files, layout.journal());
  if (!journal) return false;
  bool on = false;
  for (const JournalEntry& entry : journal->entries)
    if (entry.kind == kJournalKind) on = member<std::string>(entry.body, "event") != "off";
  return on;
}

}  // namespace walback
