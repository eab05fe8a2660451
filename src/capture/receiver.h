#pragma once
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/receivewal.h"
#include "os/process.h"

namespace walback {

/// One run of pg_receivewal: its process and the lines it wrote that nobody has read yet.
class Receiver {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Receiver>> start(Processes& processes, const Command& command,
                                                               std::int64_t now_us);

  [[nodiscard]] int pid() const { return process_->pid(); }
  [[nodiscard]] std::int64_t started_us() const { return started_us_; }
  /// How it ended, if it did; never waits.
  [[nodiscard]] std::optional<ExitStatus> ended() { return process_->wait(std::chrono::milliseconds(0)); }
  /// SIGINT, at which it flushes and ends in order; after a bound SIGTERM, then SIGKILL.
  void stop();
  [[nodiscard]] std::vector<std::string> take_lines();

 private:
  struct Lines {
    std::mutex mutex;
    std::vector<std::string> waiting;
  };
  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  std::unique_ptr<Process> process_;
  std::int64_t started_us_ = 0;
};

/// What remains of a run's lines for the one who must decide about the next one.
struct ReceiverEnd {
  ReceivewalLine reason = ReceivewalLine::other_error;
  std::string line;  ///< that said so; empty when it said nothing
};
/// The first telling failure wins: what follows it ("disconnected") is its echo.
void note_line(std::optional<ReceiverEnd>& end, std::string_view line);

}  // namespace walback
