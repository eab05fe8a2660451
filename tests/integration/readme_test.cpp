#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <regex>
#include <vector>

#include "base/text.h"
#include "lab/lab_server.h"
#include "lab/local_lab.h"
#include "os/process.h"
#include "os/system.h"

/// The README's session, replayed: each command in order, each line of its output compared.
///
/// What differs from run to run is a token: an LSN, a time, a transaction, a port, a figure. Tokens that name
/// something are bound when they are first seen: the README's 0/5092168 must be the same LSN here wherever it
/// stands, and where a later command uses it, the command is run with what was bound. A line of `...` stands
/// for any number of lines.
using namespace walback;

namespace {

constexpr const char* kReadmeDirectory = "/tmp/try";
constexpr const char* kReadmePort = "15432";

struct ReadmeCommand {
  std::string line;                 ///< without "$ "
  std::vector<std::string> output;  ///< as the README shows it
};

std::vector<ReadmeCommand> read_session(const std::string& readme) {
  std::vector<ReadmeCommand> session;
  const auto mark = readme.find("<!-- replayed -->\n```console\n");
  REQUIRE(mark != std::string::npos);
  const auto begin = readme.find("$ ", mark);
  const auto end = readme.find("\n```", begin);
  REQUIRE(end != std::string::npos);
  for (const std::string_view line : split(std::string_view(readme).substr(begin, end - begin), '\n')) {
    if (line.starts_with("$ ")) {
      session.push_back({std::string(line.substr(2)), {}});
    } else {
      session.back().output.emplace_back(line);
    }
  }
  return session;
}

/// What stands for what: the README's token, and ours.
class Bindings {
 public:
  void bind(const std::string& token, const std::string& ours) { bound_[token] = ours; }

  /// The README's text with every token that is bound replaced.
  [[nodiscard]] std::string apply(const std::string& text) const {
    std::string result;
    auto rest = text.cbegin();
    for (std::sregex_iterator it(text.begin(), text.end(), tokens()), none; it != none; ++it) {
      result.append(rest, (*it)[0].first);
      const auto found = bound_.find(it->str());
      result += found == bound_.end() ? it->str() : found->second;
      rest = (*it)[0].second;
    }
    return result.append(rest, text.cend());
  }

  /// Does our line say what the README's line says? If so, its new tokens are bound.
  [[nodiscard]] bool match(const std::string& expected, const std::string& line) {
    std::string pattern;
    std::vector<std::string> names;
    auto rest = expected.cbegin();
    for (std::sregex_iterator it(expected.begin(), expected.end(), tokens()), none; it != none; ++it) {
      pattern += literally(std::string(rest, (*it)[0].first));
      pattern += pattern_of(*it, names);
      rest = (*it)[0].second;
    }
    pattern += literally(std::string(rest, expected.cend()));
    std::smatch found;
    if (!std::regex_match(line, found, std::regex(pattern))) return false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto [place, fresh] = bound_.try_emplace(names[i], found[i + 1].str());
      if (!fresh && place->second != found[i + 1].str()) return false;
    }
    return true;
  }

 private:
  /// In this order: the directory, times, ids of base backups, names of segments, LSNs, figures with their
  /// unit, rates, long numbers (counts, ports, transactions). Short numbers (timeline 2) are compared as they
  /// are.
  static const std::regex& tokens() {
    static const std::regex expression(
        R"((/tmp/try)|(\d{4}-\d\d-\d\dT[\d:.]+Z)|(\d{8}T\d{6}Z)|(\b[0-9A-F]{24}\b)|(\b[0-9A-F]+/[0-9A-F]{5,}\b))"
        R"(|(\b\d+(?:\.\d+)? (?:B|kB|MB|GB|us|ms|s|min|h)\b)|(\b\d+ a second\b)|(\b\d{4,5}\b))");
    return expression;
  }

  static std::string pattern_of(const std::smatch& token, std::vector<std::string>& names) {
    static constexpr const char* kNamed[] = {"(\\S+)", "(\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z)", "(\\d{8}T\\d{6}Z)",
                                             "([0-9A-F]{24})", "([0-9A-F]+/[0-9A-F]+)"};
    for (std::size_t kind = 0; kind < std::size(kNamed); ++kind) {
      if (!token[kind + 1].matched) continue;
      names.push_back(token.str());
      // Everything below the directory is named by the README, so that it ends where the README's does.
      return kind == 0 ? "(/[A-Za-z0-9_./-]*?)" : kNamed[kind];
    }
    if (token[6].matched) return "\\d+(?:\\.\\d+)? (?:B|kB|MB|GB|us|ms|s|min|h)";
    if (token[7].matched) return "\\d+ a second";
    names.push_back(token.str());
    return "(\\d+)";
  }

  /// Columns move with the width of what stands in them.
  static std::string literally(const std::string& text) {
    std::string pattern;
    for (const char c : text) {
      if (c == ' ') {
        if (!pattern.ends_with(" +")) pattern += " +";
      } else if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) {
        pattern += std::string("\\") + c;
      } else {
        pattern += c;
      }
    }
    return pattern;
  }

  std::map<std::string, std::string> bound_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string_view line : split(text, '\n')) {
    const std::string shown = std::string(line).substr(0, line.find_last_not_of(' ') + 1);
    if (!shown.empty()) lines.push_back(shown);  // the README may leave room, or none
  }
  return lines;
}

void compare(const ReadmeCommand& command, const std::string& out, Bindings& bindings) {
  const std::vector<std::string> lines = lines_of(out);
  std::size_t next = 0;
  bool anything = false;
  for (const std::string& expected : command.output) {
    if (expected == "...") {
      anything = true;
      continue;
    }
    const std::size_t begin = next;
    while (anything && next < lines.size() && !bindings.match(expected, lines[next])) ++next;
    const bool found = next < lines.size() && (anything || bindings.match(expected, lines[next]));
    REQUIRE_MESSAGE(found, "after `" << command.line << "` the README has\n  " << expected
                                     << "\nand walback said (from line " << begin + 1 << " on)\n"
                                     << out);
    ++next;
    anything = false;
  }
  CHECK_MESSAGE((anything || next == lines.size()), "after `" << command.line
                                                              << "` the README ends before\n  "
                                                              << (next < lines.size() ? lines[next] : ""));
}

/// The shell that the session is typed into: its directory, and what was exported.
class Shell {
 public:
  Shell() {
    REQUIRE(drop_root());
    directory_ = make_temporary_directory("walback-readme").value();
    const Path programs = Path(environment_variable("WALBACK").value()).parent_path();
    environment_ = {
        {"PATH", programs.string() + ":" + environment_variable("PATH").value_or("/usr/bin:/bin")}};
  }
  ~Shell() {
    static_cast<void>(lab_down(directory_ / "lab", false, {}));
    static_cast<void>(real_file_system().remove_tree(directory_));
  }
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  [[nodiscard]] const Path& directory() const { return directory_; }

  std::string type(const std::string& line) {
    if (line.starts_with("export ")) {
      const auto equals = line.find('=');
      environment_.emplace_back(line.substr(7, equals - 7), line.substr(equals + 1));
      return "";
    }
    const auto output = run({.program = "/bin/sh",
                             .arguments = {"-c", line},
                             .environment = environment_,
                             .working_directory = directory_},
                            std::chrono::minutes(2));
    REQUIRE_MESSAGE(output, line << ": " << output.error().message);
    REQUIRE_MESSAGE(output->status.success(), "`" << line << "` ended with " << to_string(output->status)
                                                  << "\n"
                                                  << output->out << output->err);
    return output->out;
  }

 private:
  Path directory_;
  std::vector<std::pair<std::string, std::string>> environment_;
};

}  // namespace

TEST_CASE("README: its session is what a person sees") {
  const auto readme = real_file_system().read(environment_variable("WALBACK_README").value());
  REQUIRE_MESSAGE(readme, readme.error().message);
  const std::vector<ReadmeCommand> session = read_session(*readme);
  CHECK(session.size() >= 8);
  Shell shell;
  Bindings bindings;
  bindings.bind(kReadmeDirectory, shell.directory().string());
  bindings.bind(kReadmePort, std::to_string(random_free_port().value()));
  for (const ReadmeCommand& command : session) {
    compare(command, shell.type(bindings.apply(command.line)), bindings);
  }
}

TEST_CASE("README: another text is noticed, and a token that changes its meaning too") {
  Bindings bindings;
  CHECK(bindings.match("stop  just before the record at 0/5092168", "stop just before the record at 0/60"));
  CHECK(!bindings.match("stop  just before the record at 0/5092168", "stop just before the record at 0/61"));
  CHECK(!bindings.match("last commit  transaction 2726: committed",
                        "last commit  transaction 9: not committed"));
  CHECK(!bindings.match("timeline 2", "timeline 3"));
  CHECK(bindings.match("took  800 ms (base 1.5 s)", "took 2.2 s (base 10 ms)"));
  CHECK(bindings.apply("plan --to-lsn 0/5092168 --before") == "plan --to-lsn 0/60 --before");
}
