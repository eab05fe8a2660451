#include "os/file_system.h"

namespace walback {

Status publish(FileSystem& files, const Path& path, std::string_view content) {
  const Path temporary = path.string() + ".tmp";
  TRY(files.write(temporary, content));
  TRY(files.sync_file(temporary));
  TRY(files.rename(temporary, path));
  return files.sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

bool exists(FileSystem& files, const Path& path) {
  return files.stat(path).has_value();
}

}  // namespace walback
