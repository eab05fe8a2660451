#include "os/mounts.h"

#include <sys/stat.h>

namespace walback {

bool same_file_system(const Path& one, const Path& other) {
  struct stat first {};
  struct stat second {};
  if (::stat(one.c_str(), &first) != 0 || ::stat(other.c_str(), &second) != 0) return true;
  return first.st_dev == second.st_dev;
}

}  // namespace walback
