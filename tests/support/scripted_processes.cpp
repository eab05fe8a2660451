#include "support/scripted_processes.h"

#include <map>

namespace walback {

struct ScriptedProcesses::Child {
  int pid = 0;
  bool deaf = false;
  std::optional<ExitStatus> ended;
  std::function<void(std::string_view)> on_line;
};

/// Shared with the children, which may outlive the ScriptedProcesses that made them.
struct ScriptedProcesses::State {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::deque<Script>> queued;
  std::map<std::string, Script> always;
  std::vector<Command> commands;
  std::vector<int> signals;
  std::shared_ptr<Child> latest;
};

class ScriptedProcesses::ScriptedProcess final : public Process {
 public:
  ScriptedProcess(std::shared_ptr<State> state, std::shared_ptr<Child> child)
      : state_(std::move(state)), child_(std::move(child)) {}
  ~ScriptedProcess() override { ScriptedProcess::stop(std::chrono::milliseconds(0)); }

  int pid() const override { return child_->pid; }

  std::optional<ExitStatus> wait(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, timeout, [this] { return child_->ended.has_value(); });
    return child_->ended;
  }

  ExitStatus stop(std::chrono::milliseconds) override {
    ScriptedProcess::kill(SIGTERM);
    ScriptedProcess::kill(SIGKILL);
    const std::lock_guard lock(state_->mutex);
    return *child_->ended;
  }

  void kill(int signal) override {
    const std::lock_guard lock(state_->mutex);
    if (child_->ended) return;
    state_->signals.push_back(signal);
    if (signal != SIGKILL && child_->deaf) return;
    child_->ended = ExitStatus{.signal = signal};
    state_->changed.notify_all();
  }

 private:
  std::shared_ptr<State> state_;
  std::shared_ptr<Child> child_;
};

std::shared_ptr<ScriptedProcesses::State> ScriptedProcesses::make_state() {
  return std::make_shared<State>();
}

void ScriptedProcesses::add(const std::string& program, Script script) {
  const std::lock_guard lock(state_->mutex);
  state_->queued[program].push_back(std::move(script));
}

void ScriptedProcesses::set_always(const std::string& program, Script script) {
  const std::lock_guard lock(state_->mutex);
  state_->always[program] = std::move(script);
}

Result<std::unique_ptr<Process>> ScriptedProcesses::spawn(
    const Command& command, std::function<void(std::string_view line)> on_line) {
  Script script;
  auto child = std::make_shared<Child>();
  {
    const std::lock_guard lock(state_->mutex);
    state_->commands.push_back(command);
    state_->changed.notify_all();
    const std::string name = command.program.filename().string();
    if (auto& queue = state_->queued[name]; !queue.empty()) {
      script = std::move(queue.front());
      queue.pop_front();
    } else if (const auto always = state_->always.find(name); always != state_->always.end()) {
      script = always->second;
    } else {
      return fail(ErrorKind::internal, "the test has no script for '" + name + "'");
    }
    child->pid = 100'000 + static_cast<int>(state_->commands.size());
    child->deaf = script.deaf;
    child->on_line = on_line;
    if (!script.error) state_->latest = child;
  }
  if (script.on_start) script.on_start(command);
  if (script.error) return tl::unexpected<Error>(*script.error);
  if (on_line) {
    for (const std::string& line : script.lines) on_line(line);
  }
  if (script.status) {
    const std::lock_guard lock(state_->mutex);
    child->ended = script.status;
  }
  return std::make_unique<ScriptedProcess>(state_, std::move(child));
}

std::vector<Command> ScriptedProcesses::spawned() const {
  const std::lock_guard lock(state_->mutex);
  return state_->commands;
}

std::vector<std::string> ScriptedProcesses::commands() const {
  std::vector<std::string> texts;
  for (const Command& command : spawned()) {
    std::string text = command.program.filename().string();
    for (const std::string& argument : command.arguments) text += " " + argument;
    texts.push_back(std::move(text));
  }
  return texts;
}

bool ScriptedProcesses::wait_for_spawns(std::size_t count, std::chrono::milliseconds timeout) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, timeout, [&] { return state_->commands.size() >= count; });
}

void ScriptedProcesses::say(std::string_view line) {
  std::shared_ptr<Child> child;
  {
    const std::lock_guard lock(state_->mutex);
    child = state_->latest;
  }
  if (child && child->on_line) child->on_line(line);
}

void ScriptedProcesses::end(ExitStatus status) {
  const std::lock_guard lock(state_->mutex);
  if (state_->latest && !state_->latest->ended) state_->latest->ended = status;
  state_->changed.notify_all();
}

std::vector<int> ScriptedProcesses::signals() const {
  const std::lock_guard lock(state_->mutex);
  return state_->signals;
}

}  // namespace walback
