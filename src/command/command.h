#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/result.h"
#include "command/answer.h"
#include "config/config.h"
#include "os/file_system.h"
#include "os/process.h"

namespace walback {

/// What a command works with: the global options, and the doors to the world.
class Context {
 public:
  std::optional<Path> config_option;  ///< -c, absolute
  /// Where walback.yaml was found, looked for before drop_root() may have left the directory.
  std::optional<Result<Path>> found_config;
  Path start_directory;  ///< where relative paths of the command line begin
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  std::stop_token stop;
  Log* log = nullptr;
  Clock* clock = nullptr;
  FileSystem* files = nullptr;
  Processes* processes = nullptr;
  /// What --json shows of an error instead of the plain form: it must have its "error" member.
  std::optional<Json> error_document;

  /// walback.yaml: the one named with -c, else the first of the usual places.
  [[nodiscard]] Result<Config> config() const;
  [[nodiscard]] Result<Path> config_path() const;

  /// The command's answer on stdout: one JSON document with --json, else the text (a final newline is added).
  /// An error that follows becomes the document's member "error".
  void answer(Json document, const std::string& text);
  Answer output;
  /// Something a person should see on the way; nothing with --json or --quiet.
  void say(const std::string& text);
  /// A bar on a terminal, a line every few seconds without one, nothing with --json or --quiet.
  [[nodiscard]] std::unique_ptr<Progress> progress() const;
};

using Run = std::function<Status(Context&)>;

/// One row of the command table. `declare` adds the command's options to its parser and returns what to run
/// once they are read; options live in a shared_ptr that both closures hold.
struct CommandSpec {
  std::string name;
  std::string summary;             ///< one line, lower case, no full stop
  std::vector<ErrorKind> endings;  ///< the exit codes besides 0 and usage that it can have; listed in --help
  std::function<Run(CLI::App&)> declare;
  /// What only root can do, before it is dropped; not called for anybody else.
  std::function<Status(Context&)> as_root = {};
  bool touches_nothing = false;  ///< answers of itself alone: root, who may build it, need not be dropped
  bool service = false;  ///< runs until stopped and logs its stations; the others log only what is wrong
};

/// For options that name a file or a directory: absolute from where walback was started, because dropping
/// root may leave that directory. An empty one is refused.
[[nodiscard]] CLI::Validator absolute_path();
/// "'foo' is none of start, stop, promote, remove"
[[nodiscard]] CLI::Validator one_of(std::vector<std::string> words);
/// Those of an option's one_of; nothing without one.
[[nodiscard]] std::vector<std::string> words_of(CLI::Option& option);

/// "1 finding", "2 findings"
[[nodiscard]] std::string count_of(std::size_t count, const std::string& thing);

/// Every command, in the order in which --help lists them. One file each.
[[nodiscard]] std::vector<CommandSpec> command_table();

/// Parses the arguments, runs the command. The exit code is made from the Error by main, nowhere else.
[[nodiscard]] Status run_command_line(int argc, char** argv, Context& context, const std::string& version);

}  // namespace walback
