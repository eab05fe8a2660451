#pragma once
#include "os/system.h"

namespace walback {

/// A fresh directory on the real file system, gone with everything in it at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(make_temporary_directory("walback-test").value()) {}
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { static_cast<void>(real_file_system().remove_tree(path_)); }
  [[nodiscard]] const Path& path() const { return path_; }

 private:
  Path path_;
};

}  // namespace walback
