#include "pg/standby_names.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/text.h"

namespace walback {
namespace {

std::string lower(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool same(std::string_view a, std::string_view b) {
  return lower(a) == lower(b);
}

/// As PostgreSQL's syncrep_scanner: words of letters, digits, '_' and '$' that begin with no digit, numbers,
/// quoted names, '*', and punctuation.
struct Token {
  enum class Kind : std::uint8_t { name, number, punctuation, end, error };
  Kind kind = Kind::end;
  std::string text;
  bool quoted = false;

  [[nodiscard]] bool is(char c) const { return kind == Kind::punctuation && text[0] == c; }
  [[nodiscard]] bool word(std::string_view what) const {
    return kind == Kind::name && !quoted && same(text, what);
  }
};

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) { advance(); }

  std::optional<StandbyNames> parse() {
    StandbyNames result;
    if (token_.kind == Token::Kind::end) return result;
    const bool any = token_.word("any");
    if (any || token_.word("first")) {
      result.method = any ? StandbyNames::Method::any : StandbyNames::Method::first;
      advance();
      return counted(result);
    }
    if (token_.kind == Token::Kind::number) {
      const Token number = token_;
      advance();
      if (token_.is('(')) return counted(result, number.text);
      result.names.push_back(number.text);  // a bare number is a name
      if (token_.kind == Token::Kind::end) return result;
      if (!token_.is(',')) return std::nullopt;
      advance();
    }
    return list(result) && token_.kind == Token::Kind::end ? std::optional(result) : std::nullopt;
  }

 private:
  std::optional<StandbyNames> counted(StandbyNames result) {
    if (token_.kind != Token::Kind::number) return std::nullopt;
    const std::string number = token_.text;
    advance();
    return counted(std::move(result), number);
  }
  std::optional<StandbyNames> counted(StandbyNames result, const std::string& number) {
    const auto count = parse_decimal(number);
    if (!count || *count == 0 || *count > INT32_MAX || !token_.is('(')) return std::nullopt;
    result.count = static_cast<unsigned>(*count);
    advance();
    if (!list(result) || !token_.is(')')) return std::nullopt;
    advance();
    return token_.kind == Token::Kind::end ? std::optional(std::move(result)) : std::nullopt;
  }
  bool list(StandbyNames& result) {
    while (true) {
      if (token_.kind != Token::Kind::name && token_.kind != Token::Kind::number) return false;
      result.names.push_back(token_.text);
      advance();
      if (!token_.is(',')) return true;
      advance();
    }
  }

  void advance() {
    rest_ = rest_.substr(std::min(rest_.find_first_not_of(" \t\n\r\f\v"), rest_.size()));
    token_ = {};
    if (rest_.empty()) return;
    const char first = rest_[0];
    if (first == '"') return quoted();
    std::size_t length = 1;
    if (in_word(first)) {
      while (length < rest_.size() && in_word(rest_[length])) ++length;
      token_.text = rest_.substr(0, length);
      const bool digits = parse_decimal(token_.text).has_value();
      const bool begins_with_digit = first >= '0' && first <= '9';
      token_.kind = digits ? Token::Kind::number : begins_with_digit ? Token::Kind::error : Token::Kind::name;
    } else {
      token_.text = first;
      token_.kind = first == '*'                                   ? Token::Kind::name
                    : first == '(' || first == ')' || first == ',' ? Token::Kind::punctuation
                                                                   : Token::Kind::error;
    }
    rest_.remove_prefix(length);
  }
  void quoted() {
    token_.quoted = true;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] != '"') {
        token_.text += rest_[i];
      } else if (i + 1 < rest_.size() && rest_[i + 1] == '"') {
        token_.text += rest_[i++];
      } else {
        rest_.remove_prefix(i + 1);
        token_.kind = Token::Kind::name;
        return;
      }
    }
    token_.kind = Token::Kind::error;
    rest_ = {};
  }

  std::string_view rest_;
  Token token_;
};

std::string render_name(const std::string& name) {
  if (name == "*") return name;
  const bool bare = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                    std::all_of(name.begin(), name.end(), in_word) && !same(name, "first") &&
                    !same(name, "any");
  if (bare) return name;
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + "\"";
}

std::vector<std::string> others_of(const StandbyNames& names, std::string_view receiver) {
  std::vector<std::string> others;
  std::copy_if(names.names.begin(), names.names.end(), std::back_inserter(others),
               [&](const std::string& name) { return !same(name, receiver); });
  return others;
}

}  // namespace

std::optional<StandbyNames> parse_standby_names(std::string_view text) {
  return Parser(text).parse();
}

std::string render(const StandbyNames& names) {
  std::vector<std::string> list;
  for (const std::string& name : names.names) list.push_back(render_name(name));
  const std::string joined = join(list, ", ");
  if (list.empty()) return "";
  const bool first = names.method == StandbyNames::Method::first;
  if (first && names.count == 1) return joined;
  return (first ? "FIRST " : "ANY ") + std::to_string(names.count) + " (" + joined + ")";
}

bool lists(const StandbyNames& names, std::string_view receiver) {
  return std::any_of(names.names.begin(), names.names.end(),
                     [&](const std::string& name) { return same(name, receiver); });
}

bool always_waits_for(const StandbyNames& names, std::string_view receiver) {
  // A "*" stands for any number of names.
  const bool open = std::find(names.names.begin(), names.names.end(), "*") != names.names.end();
  return lists(names, receiver) && !open && names.count >= names.names.size();
}

StandbyNames with_receiver(const StandbyNames& others, const std::string& receiver) {
  const StandbyNames rest = without_receiver(others, receiver);
  StandbyNames result;
  result.names = rest.names;
  result.names.insert(result.names.begin(), receiver);
  result.count = rest.names.empty() ? 1 : rest.count + 1;
  return result;
}

StandbyNames without_receiver(const StandbyNames& names, std::string_view receiver) {
  StandbyNames result = names;
  result.names = others_of(names, receiver);
  if (result.names.size() == names.names.size()) return result;
  if (result.names.empty()) return {};
  const bool ours_was_first = names.method == StandbyNames::Method::first && same(names.names[0], receiver);
  const bool all = names.count >= names.names.size();
  if ((ours_was_first || all) && names.count > 1) --result.count;
  return result;
}

}  // namespace walback
