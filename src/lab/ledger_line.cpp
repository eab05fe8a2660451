#include <array>
#include <chrono>

#include "base/json.h"
#include "base/text.h"
#include "lab/ledger.h"

namespace walback {
namespace {

constexpr std::array kStates{LedgerState::acknowledged, LedgerState::in_doubt, LedgerState::failed};
constexpr std::array kSettlements{Settlement::committed, Settlement::aborted};

template <class T, class Render>
void put(Json& json, const char* key, const std::optional<T>& value, Render render) {
  if (value) {
    json[key] = render(*value);
  } else {
    json[key] = nullptr;
  }
}

std::optional<std::int64_t> digits(std::string_view text, std::size_t from, std::size_t count) {
  const auto value = parse_decimal(text.substr(from, count));
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

/// Exactly what to_rfc3339 writes, "2026-11-20T10:42:07.123456Z"; nothing else was ever in a ledger.
std::optional<Timestamp> parse_ledger_time(const std::string& text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] != 'd' && text[i] != kShape[i]) return std::nullopt;
  }
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  const auto micro = digits(text, 20, 6);
  if (!year || !month || !day || !hour || !minute || !second || !micro) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return Timestamp{(((days * 24 + *hour) * 60 + *minute) * 60 + *second) * 1'000'000 + *micro};
}

/// Reads members one after the other; the first that is missing or of the wrong type spoils the whole line.
class LineReader {
 public:
  explicit LineReader(const Json& json) : json_(json) {}
  [[nodiscard]] bool good() const { return good_; }

  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) {
    const auto value = member<std::int64_t>(json_, key);
    if (!value || *value < least || *value > most) return spoil<std::int64_t>();
    return *value;
  }
  std::optional<std::int64_t> optional_integer(const char* key) {
    if (absent(key)) return std::nullopt;
    return integer(key, 0, INT64_MAX);
  }
  bool boolean(const char* key) {
    const auto value = member<bool>(json_, key);
    return value ? *value : spoil<bool>();
  }
  std::string text(const char* key) {
    const auto value = member<std::string>(json_, key);
    return value ? *value : spoil<std::string>();
  }
  std::optional<Lsn> optional_lsn(const char* key) {
    if (absent(key)) return std::nullopt;
    const auto lsn = parse_lsn(text(key));
    return lsn ? lsn : spoil<std::optional<Lsn>>();
  }
  std::optional<Timestamp> optional_time(const char* key) {
    if (absent(key)) return std::nullopt;
    const auto time = parse_ledger_time(text(key));
    return time ? time : spoil<std::optional<Timestamp>>();
  }
  template <class T, std::size_t N>
  T word(const char* key, const std::array<T, N>& known) {
    const std::string word = text(key);
    for (const T value : known) {
      if (word == name_of(value)) return value;
    }
    return spoil<T>();
  }
  [[nodiscard]] bool absent(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null();
  }

 private:
  template <class T>
  T spoil() {
    good_ = false;
    return T{};
  }
  const Json& json_;
  bool good_ = true;
};

}  // namespace

std::string_view name_of(LedgerState state) {
  switch (state) {
    case LedgerState::acknowledged:
      return "acknowledged";
    case LedgerState::in_doubt:
      return "in_doubt";
    case LedgerState::failed:
      return "failed";
  }
  return "unknown";
}

std::string_view name_of(Settlement settlement) {
  return settlement == Settlement::committed ? "committed" : "aborted";
}

std::string to_ledger_line(const LedgerEntry& entry) {
  const auto as_text = [](Lsn lsn) { return to_string(lsn); };
  const auto as_time = [](Timestamp time) { return to_rfc3339(time); };
  const auto as_is = [](std::int64_t value) { return value; };
  Json json;
  json["id"] = entry.id;
  json["writer"] = entry.writer;
  json["xid"] = entry.xid;
  put(json, "created_at", entry.created_at, as_time);
  put(json, "insert_lsn_before", entry.insert_lsn_before, as_text);
  put(json, "insert_lsn_after", entry.insert_lsn_after, as_text);
  put(json, "commit_time", entry.commit_time, as_time);
  json["sent_us"] = entry.sent_us;
  put(json, "acknowledged_us", entry.acknowledged_us, as_is);
  json["state"] = name_of(entry.state);
  json["durable"] = entry.durable;
  if (entry.gave_up_us) json["gave_up_us"] = *entry.gave_up_us;
  if (!entry.problem.empty()) json["problem"] = entry.problem;
  if (entry.settled) json["settled"] = name_of(*entry.settled);
  return to_line(json);
}

std::optional<LedgerEntry> parse_ledger_line(std::string_view line) {
  const auto json = parse_json(line, "ledger line");
  if (!json || !json->is_object()) return std::nullopt;
  LineReader reader(*json);
  LedgerEntry entry;
  entry.id = reader.integer("id", 1, INT64_MAX);
  entry.writer = static_cast<int>(reader.integer("writer", 0, INT32_MAX));
  entry.xid = static_cast<std::uint32_t>(reader.integer("xid", 0, UINT32_MAX));
  entry.created_at = reader.optional_time("created_at");
  entry.insert_lsn_before = reader.optional_lsn("insert_lsn_before");
  entry.insert_lsn_after = reader.optional_lsn("insert_lsn_after");
  entry.commit_time = reader.optional_time("commit_time");
  entry.sent_us = reader.integer("sent_us", 0, INT64_MAX);
  entry.acknowledged_us = reader.optional_integer("acknowledged_us");
  entry.state = reader.word("state", kStates);
  entry.durable = reader.boolean("durable");
  entry.gave_up_us = reader.optional_integer("gave_up_us");
  if (!reader.absent("problem")) entry.problem = reader.text("problem");
  if (!reader.absent("settled")) entry.settled = reader.word("settled", kSettlements);
  if (!reader.good()) return std::nullopt;
  return entry;
}

std::optional<Settlement> settle(const DoubtEvidence& evidence) {
  if (evidence.row_present == true) return Settlement::committed;
  switch (evidence.status) {
    case TransactionStatus::in_progress:
    case TransactionStatus::forgotten:
      return std::nullopt;
    case TransactionStatus::aborted:
    case TransactionStatus::in_future:
      return Settlement::aborted;
    case TransactionStatus::committed:
      break;
  }
  // Committed, and the row is gone: either somebody else got the xid after a crash, or the row was removed.
  if (!evidence.stamped_in_time) return std::nullopt;
  return *evidence.stamped_in_time ? Settlement::committed : Settlement::aborted;
}

}  // namespace walback
