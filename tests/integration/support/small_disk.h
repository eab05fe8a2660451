#pragma once
#include <cstdint>

#include "os/file_system.h"

namespace walback::test {

/// A file system of 160 MB of this test program's own: a tmpfs over /srv, in a mount namespace that only this
/// process and its children see and that goes with them. Only root may make it, so ask for it before anything
/// that becomes `postgres`. Where it cannot be made the program says so and ends with 77, which ctest counts
/// as skipped.
class SmallDisk {
 public:
  [[nodiscard]] static SmallDisk& get();

  [[nodiscard]] Path path() const { return "/srv"; }
  [[nodiscard]] std::uint64_t available_bytes() const;
  /// Somebody else's file grows or shrinks until so much is left.
  void leave(std::uint64_t bytes) const;
  void make_room() const;
  /// Empty again, for the next test.
  void clear() const;

 private:
  SmallDisk();
};

}  // namespace walback::test
