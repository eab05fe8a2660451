#include "restore/time_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::string_view kExamples =
    "Write 2026-11-20T10:42:07Z, '2026-11-20 10:42 Europe/Berlin', '10:42', 'yesterday 17:05' or '5 minutes "
    "ago'.";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

/// Reads the text from left to right; every step takes what it understands or leaves the rest as it is.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : whole_(text), rest_(trim(text)) {}

  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }
  void skip_blanks() { rest_ = trim(rest_); }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// A run of digits, `least` to `most` of them, and no more digits behind it.
  std::optional<std::string_view> take_digits(std::size_t least, std::size_t most) {
    std::size_t count = 0;
    while (count < rest_.size() && is_digit(rest_[count])) ++count;
    if (count < least || count > most) return std::nullopt;
    const auto digits = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return digits;
  }
  bool take_word(std::string_view word) {
    const bool there = lower(rest_.substr(0, word.size())) == word;
    const bool ends = rest_.size() <= word.size() || rest_[word.size()] == ' ';
    if (!there || !ends) return false;
    rest_ = trim(rest_.substr(word.size()));
    return true;
  }

  [[nodiscard]] tl::unexpected<Error> refuse(std::string why,
                                             std::string hint = std::string(kExamples)) const {
    return fail(ErrorKind::usage, fmt::format("cannot read '{}' as a time: {}", whole_, why),
                std::move(hint));
  }

 private:
  std::string_view whole_, rest_;
};

/// "am", "p.m. Europe/Berlin"; not America/New_York.
bool is_meridiem(std::string_view text) {
  auto word = lower(trim(text));
  word = word.substr(0, word.find(' '));
  std::erase(word, '.');
  return word == "am" || word == "pm";
}

int number(std::string_view digits) {
  return static_cast<int>(parse_decimal(digits).value_or(0));
}

/// "5 minutes ago". Days are 24 hours here; "yesterday" follows the calendar.
std::optional<std::chrono::microseconds> read_ago(std::string_view text) {
  using std::chrono::seconds;
  constexpr std::array<std::pair<std::string_view, int>, 11> kUnits{{{"s", 1},
                                                                     {"second", 1},
                                                                     {"seconds", 1},
                                                                     {"min", 60},
                                                                     {"minute", 60},
                                                                     {"minutes", 60},
                                                                     {"h", 3600},
                                                                     {"hour", 3600},
                                                                     {"hours", 3600},
                                                                     {"day", 86400},
                                                                     {"days", 86400}}};
  const auto words = lower(trim(text));
  if (words == "now") return std::chrono::microseconds{0};
  std::vector<std::string_view> parts;
  for (const auto part : split(words, ' '))
    if (!part.empty()) parts.push_back(part);
  if (parts.size() != 3 || parts[2] != "ago" || parts[0].size() > 6) return std::nullopt;
  const auto count = parse_decimal(parts[0]);
  const auto* unit = std::ranges::find(kUnits, parts[1], &std::pair<std::string_view, int>::first);
  if (!count || unit == kUnits.end()) return std::nullopt;
  return seconds{static_cast<std::int64_t>(*count) * unit->second};
}

Status read_day(Scanner& scan, TimeWords& words) {
  const auto digits = scan.rest().find('-') == 4 ? scan.take_digits(4, 4) : std::nullopt;
  if (!digits) {
    words.relative_day = true;
    return {};
  }
  scan.take('-');
  const auto month = scan.take_digits(2, 2);
  const bool dash = scan.take('-');
  const auto day = scan.take_digits(2, 2);
  if (!month || !dash || !day) return scan.refuse("the date is not year-month-day");
  words.date = {number(*digits), static_cast<unsigned>(number(*month)), static_cast<unsigned>(number(*day))};
  if (number(*digits) < 1970) return scan.refuse(fmt::format("the year {} is before 1970", number(*digits)));
  if (scan.done())
    return scan.refuse(
        "a date without a time of day",
        fmt::format("Write '{}-{}-{} 00:00' for the first moment of that day.", *digits, *month, *day));
  if (!scan.take('T') && !scan.take('t') && !scan.take(' '))
    return scan.refuse("expected a blank or a T behind the date");
  scan.skip_blanks();
  return {};
}

Status read_clock(Scanner& scan, TimeWords& words) {
  const auto hour = scan.take_digits(1, 2);
  if (hour && is_meridiem(scan.rest()))
    return scan.refuse("a 12-hour clock", "Hours are 0 to 23: 1 pm is 13:00.");
  const auto minute = hour && scan.take(':') ? scan.take_digits(2, 2) : std::nullopt;
  if (!minute) return scan.refuse("expected a time of day as hours:minutes");
  int second = 0;
  std::int64_t fraction = 0;
  if (scan.take(':')) {
    const auto digits = scan.take_digits(2, 2);
    if (!digits) return scan.refuse("expected two digits of seconds");
    second = number(*digits);
    if (scan.take('.') || scan.take(',')) {
      const auto part = scan.take_digits(1, 64);
      if (!part) return scan.refuse("expected digits behind the decimal point");
      if (part->size() > 6)
        return scan.refuse(fmt::format("{} digits of a second, at most 6 are possible", part->size()),
                           "PostgreSQL's clock counts microseconds.");
      fraction = number(std::string(*part) + std::string(6 - part->size(), '0'));
    }
  }
  if (is_meridiem(scan.rest())) return scan.refuse("a 12-hour clock", "Hours are 0 to 23: 1 pm is 13:00.");
  if (number(*hour) > 23) return scan.refuse(fmt::format("there is no hour {}", *hour), "Hours are 0 to 23.");
  if (number(*minute) > 59)
    return scan.refuse(fmt::format("there is no minute {}", *minute), "Minutes are 0 to 59.");
  if (second > 59) return scan.refuse(fmt::format("there is no second {}", second), "Seconds are 0 to 59.");
  words.since_midnight = std::chrono::hours{number(*hour)} + std::chrono::minutes{number(*minute)} +
                         std::chrono::seconds{second} + std::chrono::microseconds{fraction};
  return {};
}

/// "+01:00", "+0100", "-03".
Status read_offset(Scanner& scan, TimeWords& words) {
  const bool west = scan.take('-');
  if (!west) scan.take('+');
  constexpr int kFurthest = 15;
  const auto digits = scan.take_digits(2, 4);
  const bool colon = digits && digits->size() == 2 && scan.take(':');
  const auto minutes = colon ? scan.take_digits(2, 2) : std::nullopt;
  if (!digits || digits->size() == 3 || (colon && !minutes) || !scan.done())
    return scan.refuse("the offset from UTC is not hours:minutes", "Write it like +01:00.");
  const int hours = number(digits->substr(0, 2));
  const int rest = minutes ? number(*minutes) : number(digits->substr(2));
  if (hours > kFurthest || rest > 59)
    return scan.refuse(fmt::format("no offset from UTC is as large as {}:{:02}", hours, rest),
                       "Write it like +01:00.");
  words.offset = (west ? -1 : 1) * (hours * 3600 + rest * 60);
  return {};
}

Status read_zone(Scanner& scan, TimeWords& words) {
  scan.skip_blanks();
  if (scan.done()) return {};
  const char first = scan.rest().front();
  if (first == '+' || first == '-') return read_offset(scan, words);
  if (scan.rest() == "Z" || scan.rest() == "z") {
    words.offset = 0;
    return {};
  }
  const bool name = std::ranges::all_of(scan.rest(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
  });
  if (!name || is_digit(first))
    return scan.refuse(fmt::format("'{}' behind the time of day is not a zone", scan.rest()));
  words.zone = scan.rest();
  return {};
}

}  // namespace

Result<TimeWords> parse_time_words(std::string_view text) {
  TimeWords words;
  if (trim(text).empty()) return fail(ErrorKind::usage, "the time is empty", std::string(kExamples));
  words.ago = read_ago(text);
  if (words.ago) return words;
  Scanner scan(text);
  const bool yesterday = scan.take_word("yesterday");
  if (yesterday || scan.take_word("today")) {
    words.relative_day = true;
    words.days_back = yesterday ? 1 : 0;
    if (scan.done())
      return scan.refuse("a day without a time of day", fmt::format("Write '{} 00:00' for its first moment.",
                                                                    yesterday ? "yesterday" : "today"));
  } else {
    TRY(read_day(scan, words));
  }
  TRY(read_clock(scan, words));
  TRY(read_zone(scan, words));
  return words;
}

}  // namespace walback
