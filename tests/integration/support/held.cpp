#include "integration/support/held.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "os/system.h"

namespace walback::test {

using namespace std::chrono_literals;

std::unique_ptr<Process> stopped_while_holding(const LabFixture& lab, const std::string& role,
                                               const std::vector<std::string>& arguments) {
  constexpr int kAttempts = 100;
  const Path lock = lab.archive() / "locks" / (role + ".lock");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto started = real_processes().spawn(lab.command(arguments), [](std::string_view) {});
    REQUIRE(started);
    std::unique_ptr<Process> process = std::move(*started);
    const std::string pid = std::to_string(process->pid()) + "\n";
    const auto named = [&] { return real_file_system().read(lock) == pid; };
    while (!named() && !process->wait(0ms)) std::this_thread::sleep_for(100us);
    process->kill(SIGSTOP);
    std::this_thread::sleep_for(20ms);  // it stops where it is; then the lock is held for good, or not
    if (FileLock::is_held(lock)) return process;
    process->kill(SIGKILL);
    static_cast<void>(process->wait(10s));
  }
  FAIL("it never holds " << lock.string() << " for long enough to be stopped");
  return nullptr;
}

void check_second_is_refused(const LabFixture& lab, const std::string& role,
                             const std::vector<std::string>& arguments) {
  const auto first = stopped_while_holding(lab, role, arguments);
  const WalbackRun second = lab.walback(arguments);
  CHECK_MESSAGE(second.exit_code == exit_code(ErrorKind::conflict), second.all());
  const std::string told = fmt::format("already running: pid {} holds", first->pid());
  CHECK_MESSAGE(second.err.find(told) != std::string::npos, second.all());
  CHECK_MESSAGE(second.err.find("hint: ") != std::string::npos, second.all());
  first->kill(SIGKILL);
  REQUIRE(first->wait(10s));
  const WalbackRun third = lab.walback(arguments);
  CHECK_MESSAGE(third.ok(), third.all());
}

SavedArchive::SavedArchive(const LabFixture& lab)
    : archive_(lab.archive()), saved_(lab.directory() / "saved") {
  copy(archive_, saved_);
}

void SavedArchive::put_back() const {
  REQUIRE(real_file_system().remove_tree(archive_));
  copy(saved_, archive_);
}

/// What nobody writes into again (WAL, base backups) is linked, what is written in place is copied.
void SavedArchive::copy(const Path& from, const Path& to) const {
  FileSystem& files = real_file_system();
  REQUIRE(files.remove_tree(to));
  const auto copied = walback::run({"/bin/cp", {"-al", from.string(), to.string()}, {}, "/"}, 60s);
  REQUIRE(copied);
  REQUIRE_MESSAGE(copied->status.success(), copied->err);
  const std::vector<DirectoryEntry> entries = files.list(from).value();
  for (const DirectoryEntry& entry : entries) {
    if (entry.kind != FileKind::regular) continue;
    REQUIRE(files.remove(to / entry.name));
    REQUIRE(files.copy_file(from / entry.name, to / entry.name));
  }
}

}  // namespace walback::test
