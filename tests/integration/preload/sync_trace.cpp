/// Preloaded into pg_receivewal (LD_PRELOAD): writes down, in order, what it wrote, what it synced, and what
/// it told the primary, to the file that WALBACK_SYNC_TRACE names. Four kinds of lines:
///
///     write <path> <from> <to>      sync <path>      rename <from> <to>      ack <flush LSN, hexadecimal>
///
/// A line stands there only once the call has succeeded, except "ack", which stands there before the message
/// is sent: so that an acknowledgement can seem too early here, and never too late.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

__attribute__((format(printf, 1, 2))) void note(const char* format, ...) {
  static const int trace = [] {
    const char* path = std::getenv("WALBACK_SYNC_TRACE");
    return path == nullptr ? -1 : ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }();
  if (trace < 0) return;
  char line[8192];
  std::va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  static const auto write_line = next<ssize_t(int, const void*, size_t)>("write");
  if (length > 0 && write_line(trace, line, static_cast<size_t>(length)) != length) std::abort();
}

/// The path behind a descriptor; empty for a socket or a pipe.
const char* path_of(int descriptor, char (&buffer)[4096]) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = ::readlink(link, buffer, sizeof buffer - 1);
  if (length <= 0 || buffer[0] != '/') return "";
  buffer[length] = '\0';
  return buffer;
}

void note_write(const char* path, off64_t from, ssize_t size) {
  note("write %s %lld %lld\n", path, static_cast<long long>(from), static_cast<long long>(from + size));
}

std::uint64_t big_endian(const unsigned char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

/// CopyData ('d', its length 38) that holds a standby status update: 'r', write, flush, apply, clock, flag.
void note_acknowledgements(const unsigned char* bytes, size_t size) {
  constexpr size_t kMessage = 1 + 4 + 34;
  for (size_t at = 0; at + kMessage <= size; ++at) {
    const unsigned char header[] = {'d', 0, 0, 0, 38, 'r'};
    if (std::memcmp(bytes + at, header, sizeof header) != 0) continue;
    note("ack %llx\n", static_cast<unsigned long long>(big_endian(bytes + at + 6 + 8)));
    at += kMessage - 1;
  }
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static const auto real = next<ssize_t(int, const void*, size_t)>("write");
  const ssize_t done = real(descriptor, bytes, size);
  char buffer[4096];
  const char* path = done > 0 ? path_of(descriptor, buffer) : "";
  if (*path != '\0') note_write(path, ::lseek(descriptor, 0, SEEK_CUR) - done, done);
  return done;
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  static const auto real = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  const ssize_t done = real(descriptor, bytes, size, offset);
  char buffer[4096];
  const char* path = done > 0 ? path_of(descriptor, buffer) : "";
  if (*path != '\0') note_write(path, offset, done);
  return done;
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  return pwrite64(descriptor, bytes, size, offset);
}

int fsync(int descriptor) {
  static const auto real = next<int(int)>("fsync");
  const int result = real(descriptor);
  char buffer[4096];
  if (result == 0) note("sync %s\n", path_of(descriptor, buffer));
  return result;
}

int fdatasync(int descriptor) {
  static const auto real = next<int(int)>("fdatasync");
  const int result = real(descriptor);
  char buffer[4096];
  if (result == 0) note("sync %s\n", path_of(descriptor, buffer));
  return result;
}

int rename(const char* from, const char* to) {
  static const auto real = next<int(const char*, const char*)>("rename");
  const int result = real(from, to);
  if (result == 0) note("rename %s %s\n", from, to);
  return result;
}

ssize_t send(int socket, const void* bytes, size_t size, int flags) {
  static const auto real = next<ssize_t(int, const void*, size_t, int)>("send");
  note_acknowledgements(static_cast<const unsigned char*>(bytes), size);
  return real(socket, bytes, size, flags);
}

}  // extern "C"
