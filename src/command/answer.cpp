#include "command/answer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace walback {

void Answer::put(std::string_view bytes) {
  if (failure_ != 0) return;
  errno = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), to_) != bytes.size()) failure_ = errno != 0 ? errno : EIO;
}

bool Answer::text(std::string_view text) {
  put(text);
  if (text.empty() || text.back() != '\n') put("\n");
  errno = 0;
  if (failure_ == 0 && std::fflush(to_) != 0) failure_ = errno;
  return failure_ == 0;
}

bool Answer::line(std::string_view line) {
  put(line);
  put("\n");
  return failure_ == 0;
}

void Answer::begin_items() {
  if (in_items_) return;
  in_items_ = true;
  put("[");
}

bool Answer::item(const Json& item) {
  begin_items();
  put(first_item_ ? "\n" : ",\n");
  first_item_ = false;
  put(to_line(item));
  return failure_ == 0;
}

Status Answer::finish(const std::optional<Json>& error) {
  if (in_items_) {
    if (error) item(*error);
    put("\n]\n");
  } else if (document_ && error && document_->is_object()) {
    document_->update(*error);
    put(to_text(*document_) + "\n");
  } else if (error) {
    put(to_text(*error) + "\n");
  } else if (document_) {
    put(to_text(*document_) + "\n");
  }
  errno = 0;
  if (failure_ == 0 && std::fflush(to_) != 0) failure_ = errno != 0 ? errno : EIO;
  if (failure_ == 0 || failure_ == EPIPE) return {};
  return fail(failure_ == ENOSPC || failure_ == EDQUOT ? ErrorKind::disk_full : ErrorKind::internal,
              fmt::format("the answer could not be written to stdout: {}", std::strerror(failure_)),
              "The command itself did its work.");
}

}  // namespace walback
