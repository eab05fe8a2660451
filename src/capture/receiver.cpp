#include "capture/receiver.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kInterruptGrace{5'000};
/// Lines that nobody fetched: a storm of them must not become the capturer's memory.
constexpr std::size_t kMostLines = 1'000;

}  // namespace

Result<std::unique_ptr<Receiver>> Receiver::start(Processes& processes, const Command& command,
                                                  std::int64_t now_us) {
  auto receiver = std::make_unique<Receiver>();
  receiver->started_us_ = now_us;
  receiver->process_ = TRY(processes.spawn(command, [lines = receiver->lines_](std::string_view line) {
    const std::lock_guard guard(lines->mutex);
    if (lines->waiting.size() < kMostLines) lines->waiting.emplace_back(line);
  }));
  return receiver;
}

void Receiver::stop() {
  process_->kill(2);  // SIGINT; up to PostgreSQL 15 SIGTERM ends it without a flush
  if (!process_->wait(kInterruptGrace)) process_->stop(kStopGrace);
}

std::vector<std::string> Receiver::take_lines() {
  const std::lock_guard guard(lines_->mutex);
  return std::exchange(lines_->waiting, {});
}

void note_line(std::optional<ReceiverEnd>& end, std::string_view line) {
  const auto meaning = classify_receivewal_line(line);
  if (meaning == ReceivewalLine::information) return;
  if (end && end->reason != ReceivewalLine::disconnected) return;
  end = ReceiverEnd{meaning, std::string(line)};
}

}  // namespace walback
