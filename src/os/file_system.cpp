#include "os/file_system.h"

#include "os/crash_point.h"

namespace walback {

Status publish(FileSystem& files, const Path& path, std::string_view content) {
  const Path temporary = path.string() + ".tmp";
  TRY(files.write(temporary, content));
  crash_point("publish.written");
  TRY(files.sync_file(temporary));
  crash_point("publish.synced");
  TRY(files.rename(temporary, path));
  crash_point("publish.renamed");
  return files.sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

bool exists(FileSystem& files, const Path& path) {
  return files.stat(path).has_value();
}

}  // namespace walback
