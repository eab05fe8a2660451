#include "os/launch.h"

#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/search_path.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "base/text.h"
#include "os/system.h"
#include "os/system_error.h"

namespace walback {
namespace {

namespace bp = boost::process;

/// What the child needs between fork and exec, gathered before the fork: with other threads around, nothing
/// there may allocate or lock.
struct Preparation {
  int in = -1;
  Launch how;
  const char* working_directory = "/";
  pid_t parent = 0;
  int reports = -1;  ///< where the child tells what it has to tell
};

/// What a child says before its exec. Our own pipe beside Boost's, which carries only the failure of the exec
/// itself: set_error() in on_exec_setup tears its report into two writes and then goes on to the exec.
struct Report {
  enum What : int { pid, bad_working_directory, bad_setup } what;
  int value;
};

void report(int pipe, Report::What what, int value) {
  const Report said{what, value};
  [[maybe_unused]] const auto written = ::write(pipe, &said, sizeof said);
}

void reset_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // An ignored signal stays ignored across exec: SIGPIPE by us, the others by a shell that started us with
  // '&'.
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGQUIT, SIGCHLD}) ::signal(number, SIG_DFL);
}

/// The intermediate process ends here at once; who returns is its child, which init adopts.
void leave_the_family(int reports) {
  ::setsid();
  const pid_t child = ::fork();
  if (child < 0) report(reports, Report::bad_setup, errno);
  if (child != 0) ::_exit(child > 0 ? 0 : 1);
  ::setpgid(0, 0);
  report(reports, Report::pid, ::getpid());
}

[[noreturn]] void give_up(const Preparation& preparation, Report::What what) {
  report(preparation.reports, what, errno);
  ::_exit(1);
}

void prepare_child(const Preparation& preparation) {
  reset_signals();
  if (preparation.how.detached) {
    leave_the_family(preparation.reports);
  } else {
    ::setpgid(0, 0);
    if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) give_up(preparation, Report::bad_setup);
    // The parent may have died before the prctl; then no signal will ever come.
    if (::getppid() != preparation.parent) ::_exit(1);
  }
  if (::dup2(preparation.in, 0) < 0 || ::dup2(preparation.how.out, 1) < 0 ||
      ::dup2(preparation.how.err, 2) < 0) {
    give_up(preparation, Report::bad_setup);
  }
  // CLOEXEC, not closed: the pipe by which Boost.Process reports a failed exec must live until the exec.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) give_up(preparation, Report::bad_setup);
  if (::chdir(preparation.working_directory) != 0) give_up(preparation, Report::bad_working_directory);
}

/// The environment of a child, as execve wants it. Not bp::environment: in 1.74 its look-up reads past the
/// end of entries shorter than the name.
class Environment {
 public:
  explicit Environment(const Command& command) {
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
      entries_.emplace_back(*entry);
    set("LC_ALL", "C");
    for (const auto& [name, value] : command.environment) set(name, value);
    for (std::string& entry : entries_) pointers_.push_back(entry.data());
    pointers_.push_back(nullptr);
  }
  [[nodiscard]] char** get() { return pointers_.data(); }

 private:
  void set(const std::string& name, const std::string& value) {
    std::erase_if(entries_, [&](const std::string& entry) { return entry.starts_with(name + "="); });
    if (!value.empty()) entries_.push_back(name + "=" + value);
  }

  std::vector<std::string> entries_;
  std::vector<char*> pointers_;
};

Result<std::string> find_program(const Path& program) {
  if (program.native().find('/') != std::string::npos) return program.string();
  std::vector<boost::filesystem::path> directories;
  const std::string path = environment_variable("PATH").value_or("/usr/bin:/bin");
  for (const std::string_view directory : split(path, ':')) directories.emplace_back(std::string(directory));
  const auto found = bp::search_path(program.string(), directories);
  if (found.empty()) {
    return fail(ErrorKind::not_found,
                fmt::format("cannot execute '{}': no such program in PATH", program.string()),
                "Install the package that brings it, or name its directory.");
  }
  return found.string();
}

/// One kind for all: whoever starts a program reacts in the same way to "absent" and to "not executable".
tl::unexpected<Error> not_started(tl::unexpected<Error> error) {
  error.value().kind = ErrorKind::not_found;
  return error;
}

void reap(pid_t pid) {
  retry([&] { return ::waitpid(pid, nullptr, 0); });
}

/// A parent that ignores SIGCHLD would never learn how its children ended: the kernel reaps them itself.
void expect_children() {
  static const bool done = [] {
    struct sigaction current {};
    if (::sigaction(SIGCHLD, nullptr, &current) == 0 && current.sa_handler == SIG_IGN)
      ::signal(SIGCHLD, SIG_DFL);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

Descriptor above_standard(Descriptor descriptor) {
  if (!descriptor.valid() || descriptor.get() > 2) return descriptor;
  return Descriptor(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 3));
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make a pipe", errno);
  Pipe pipe{above_standard(Descriptor(ends[0])), above_standard(Descriptor(ends[1]))};
  if (!pipe.read.valid() || !pipe.write.valid()) return system_error("make a pipe", errno);
  return pipe;
}

Result<pid_t> launch(const Command& command, const Launch& how) {
  expect_children();
  const std::string program = TRY(find_program(command.program));
  const std::string directory = command.working_directory.string();
  const Descriptor null = above_standard(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  if (!null.valid()) return system_error("open", "/dev/null", errno);
  Pipe reports = TRY(make_pipe());
  const Preparation preparation{.in = null.get(),
                                .how = how,
                                .working_directory = directory.c_str(),
                                .parent = ::getpid(),
                                .reports = reports.write.get()};
  std::error_code error;
  pid_t pid = -1;
  try {
    Environment environment(command);
    bp::child child(
        bp::exe = program, bp::args = command.arguments, error,
        bp::extend::on_setup = [&](auto& executor) { executor.env = environment.get(); },
        bp::extend::on_exec_setup = [&](auto&) { prepare_child(preparation); },
        // Boost.Process forgets the child of a failed exec; here its pid is still known.
        bp::extend::on_error = [&](auto& executor, const std::error_code&) { pid = executor.pid; });
    if (!error) pid = child.id();
    child.detach();
  } catch (const std::exception& exception) {
    return fail(ErrorKind::internal, fmt::format("cannot execute '{}': {}", program, exception.what()));
  }
  reports.write.reset();
  std::optional<pid_t> detached;
  std::optional<Report> fault;
  Report said{};
  while (retry([&] { return ::read(reports.read.get(), &said, sizeof said); }) == sizeof said) {
    if (said.what == Report::pid) {
      detached = said.value;
    } else {
      fault = said;
    }
  }
  if (pid > 0 && (error || fault || how.detached)) reap(pid);
  if (error) return not_started(system_error("execute", program, error.value()));
  if (fault && fault->what == Report::bad_working_directory) {
    return not_started(system_error("start " + program + " in", directory, fault->value));
  }
  if (fault) return system_error("prepare the start of", program, fault->value);
  if (!how.detached) return pid;
  if (!detached) return fail(ErrorKind::internal, fmt::format("'{}' did not tell its pid", program));
  return *detached;
}

}  // namespace walback
