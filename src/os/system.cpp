#include "os/system.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "base/text.h"
#include "os/descriptor.h"
#include "os/system_error.h"

namespace walback {
namespace {

/// Whole cores that the cgroup's quota pays for ("<quota> <period>" or "max <period>"); nothing: no limit
/// known.
std::optional<unsigned> cgroup_cores() {
  const auto text = real_file_system().read("/sys/fs/cgroup/cpu.max", 4096);
  if (!text) return std::nullopt;
  const auto parts = split(trim(*text), ' ');
  if (parts.size() != 2) return std::nullopt;
  const auto quota = parse_decimal(parts[0]);
  const auto period = parse_decimal(parts[1]);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<unsigned>(std::max<std::uint64_t>(1, (*quota + *period - 1) / *period));
}

/// Binds and listens as PostgreSQL would (SO_REUSEADDR: the remains of closed connections do not matter). A
/// family that this machine does not have takes no port.
template <class Address>
bool can_listen(int family, const Address& address) {
  const Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno == EAFNOSUPPORT;
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno == EADDRNOTAVAIL;
  }
  return ::listen(socket.get(), 1) == 0;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) == 1;
}

Path own_executable() {
  auto target = real_file_system().read_link("/proc/self/exe");
  if (!target) return "walback";
  // An upgrade replaced the file while we run: the new one under the same name is the one to start.
  constexpr std::string_view kDeleted = " (deleted)";
  if (target->ends_with(kDeleted)) target->resize(target->size() - kDeleted.size());
  return *target;
}

unsigned core_count() {
  unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    cores = static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  }
  return std::min(cores, cgroup_cores().value_or(cores));
}

bool port_is_free(std::uint16_t port) {
  if (port == 0) return false;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  six.sin6_addr = in6addr_loopback;
  return can_listen(AF_INET, four) && can_listen(AF_INET6, six);
}

Result<Path> make_temporary_directory(const std::string& prefix) {
  const std::string root = environment_variable("TMPDIR").value_or("/tmp");
  std::string name = (Path(root.empty() ? "/tmp" : root) / (prefix + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) return system_error("create the temporary directory", name, errno);
  return Path(name);
}

std::uint64_t random_u64() {
  std::uint64_t number = 0;
  // Up to 256 bytes come whole and uninterrupted once the pool is ready; before that the call waits for it.
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
  }
  return number;
}

}  // namespace walback
