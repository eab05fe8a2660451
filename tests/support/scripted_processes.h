#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>

#include "os/process.h"

namespace walback {

/// What a scripted child does: says its lines at once, then ends with `status`; without one it runs until it
/// is stopped (signal 15) or the test ends it by ScriptedProcesses::end.
struct Script {
  std::vector<std::string> lines = {};
  std::optional<ExitStatus> status = ExitStatus{};
  std::optional<Error> error = std::nullopt;  ///< instead of a child: spawn fails
  bool deaf = false;                          ///< ignores SIGTERM: only SIGKILL ends it
  std::function<void(const Command&)> on_start = {};
};

/// Processes that a test writes. Each spawn takes the next script of that program (by its file name), or else
/// the standing one; no script at all is an error that names the command.
class ScriptedProcesses final : public Processes {
 public:
  /// For one spawn, in order.
  void add(const std::string& program, Script script);
  /// For every spawn after those.
  void set_always(const std::string& program, Script script);

  Result<std::unique_ptr<Process>> spawn(const Command& command,
                                         std::function<void(std::string_view line)> on_line) override;

  /// All commands so far, as "program argument argument".
  [[nodiscard]] std::vector<std::string> commands() const;
  [[nodiscard]] std::vector<Command> spawned() const;
  /// Waits until `count` were spawned in all; false: not within `timeout`.
  [[nodiscard]] bool wait_for_spawns(std::size_t count, std::chrono::milliseconds timeout);

  /// Of the latest spawned: it says a line; it ends.
  void say(std::string_view line);
  void end(ExitStatus status);
  /// Signals that children were sent, in order, over all children.
  [[nodiscard]] std::vector<int> signals() const;

 private:
  struct State;
  struct Child;
  class ScriptedProcess;
  std::shared_ptr<State> state_ = make_state();
  static std::shared_ptr<State> make_state();
};

}  // namespace walback
