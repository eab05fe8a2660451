#include "os/system_error.h"

#include <fmt/format.h>

#include <cctype>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace walback {
namespace {

ErrorKind kind_of(int number) {
  switch (number) {
    case ENOENT:
      return ErrorKind::not_found;
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::disk_full;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorKind::conflict;
    default:
      return ErrorKind::internal;
  }
}

/// Never translated, unlike strerror, and safe in threads.
std::string words_of(int number) {
  const char* words = strerrordesc_np(number);
  std::string text = words != nullptr ? words : fmt::format("error {}", number);
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

tl::unexpected<Error> system_error(const std::string& action, const Path& path, int number) {
  std::string hint;
  if (kind_of(number) == ErrorKind::disk_full) {
    hint = fmt::format("Make room on the file system that holds '{}', then run the same command again.",
                       path.has_parent_path() ? path.parent_path().string() : ".");
  } else if (number == EACCES || number == EPERM) {
    hint = "Check who owns it and its directories: walback works as the user that runs PostgreSQL.";
  }
  return fail(kind_of(number), fmt::format("cannot {} '{}': {}", action, path.string(), words_of(number)),
              std::move(hint));
}

tl::unexpected<Error> system_error(const std::string& action, int number) {
  return fail(kind_of(number), fmt::format("cannot {}: {}", action, words_of(number)));
}

tl::unexpected<Error> file_too_large(const Path& path, std::uint64_t limit_bytes) {
  return fail(ErrorKind::corrupt, fmt::format("'{}' is larger than {}, the most that it can sensibly be",
                                              path.string(), render_bytes(limit_bytes)));
}

}  // namespace walback
