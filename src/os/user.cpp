#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "os/system.h"
#include "os/system_error.h"

namespace walback {
namespace {

struct User {
  std::string name, home;
  uid_t uid = 0;
  gid_t gid = 0;
};

Result<User> find_user(const std::string& name) {
  std::string buffer(16U << 10, '\0');
  passwd entry{};
  passwd* found = nullptr;
  const int number = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (number != 0) return system_error("look up the user '" + name + "'", number);
  if (found == nullptr) {
    return fail(
        ErrorKind::not_found, fmt::format("there is no user '{}' on this machine", name),
        "Install PostgreSQL's packages, which create it, or run walback as the user that runs PostgreSQL.");
  }
  return User{name, entry.pw_dir, entry.pw_uid, entry.pw_gid};
}

}  // namespace

Status drop_root(const std::string& name) {
  if (::geteuid() != 0) return {};
  const User user = TRY(find_user(name));
  // A new user id clears it; who set it (the parent that wants us to end with it) still wants it.
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal);
  if (::initgroups(name.c_str(), user.gid) != 0 || ::setgid(user.gid) != 0 || ::setuid(user.uid) != 0) {
    return system_error("become the user '" + name + "'", errno);
  }
  if (user.uid != 0 && ::setuid(0) == 0) {
    return fail(ErrorKind::internal, fmt::format("became the user '{}' and could still be root again", name));
  }
  if (death_signal != 0) ::prctl(PR_SET_PDEATHSIG, death_signal);
  // Cleared as well; without it /proc/self belongs to root, and no debugger or core dump is possible.
  ::prctl(PR_SET_DUMPABLE, 1);
  ::setenv("HOME", user.home.c_str(), 1);
  ::setenv("USER", name.c_str(), 1);
  ::setenv("LOGNAME", name.c_str(), 1);
  if (::access(".", R_OK | X_OK) != 0 && ::chdir("/") != 0) return system_error("enter", "/", errno);
  return {};
}

Status give_to(const Path& path, const std::string& name) {
  if (::geteuid() != 0) return {};
  const User user = TRY(find_user(name));
  if (::lchown(path.c_str(), user.uid, user.gid) != 0) {
    return system_error("give to the user '" + name + "'", path, errno);
  }
  return {};
}

std::string user_name() {
  std::string buffer(16U << 10, '\0');
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? std::string(entry.pw_name) : std::to_string(::geteuid());
}

}  // namespace walback
