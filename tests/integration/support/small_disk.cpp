#include "integration/support/small_disk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/descriptor.h"
#include "os/system.h"

namespace walback::test {
namespace {

constexpr const char* kOptions = "size=160m,mode=0700";
constexpr int kSkipped = 77;
const Path kFiller = "/srv/filler";

[[noreturn]] void skip(const char* what) {
  std::printf("SKIPPED: cannot %s (%s): these tests need root and mount(2)\n", what, std::strerror(errno));
  std::fflush(stdout);
  std::_Exit(kSkipped);
}

}  // namespace

SmallDisk::SmallDisk() {
  if (::unshare(CLONE_NEWNS) != 0) skip("have a mount namespace");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) skip("keep mounts private");
  if (::mount("walback-test", "/srv", "tmpfs", 0, kOptions) != 0) skip("mount a tmpfs over /srv");
  REQUIRE(give_to("/srv"));
}

SmallDisk& SmallDisk::get() {
  static SmallDisk disk;
  return disk;
}

std::uint64_t SmallDisk::available_bytes() const {
  return real_file_system().space(path())->available_bytes;
}

void SmallDisk::leave(std::uint64_t bytes) const {
  constexpr std::uint64_t kPage = 4096;
  const Descriptor file(::open(kFiller.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(file.valid());
  auto size = static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END));
  const std::uint64_t room = size + available_bytes();
  if (room < bytes + size) {
    size = room > bytes ? room - bytes : 0;
    REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
  }
  // Others write meanwhile: what does not fit at once is tried in smaller pieces.
  std::uint64_t step = available_bytes();
  while (available_bytes() > bytes && step >= kPage) {
    step = std::min(step, available_bytes() - bytes) / kPage * kPage;
    if (step != 0 && ::posix_fallocate(file.get(), static_cast<off_t>(size), static_cast<off_t>(step)) == 0)
      size += step;
    else
      step /= 2;
  }
}

void SmallDisk::make_room() const {
  REQUIRE(real_file_system().remove_tree(kFiller));
}

void SmallDisk::clear() const {
  const auto entries = real_file_system().list(path());
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) REQUIRE(real_file_system().remove_tree(path() / entry.name));
}

}  // namespace walback::test
