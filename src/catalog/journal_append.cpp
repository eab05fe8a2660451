#include <fmt/format.h>

#include <array>

#include "catalog/journal.h"

namespace walback {
namespace {

/// A journal is closed once in an expiry; twice in the time of one append is not to be expected.
constexpr int kAttempts = 10;

/// True when the file's last line has no end: what a power cut or a full disk left.
Result<bool> ends_torn(FileSystem& files, const Path& path, std::uint64_t size_bytes) {
  if (size_bytes == 0) return false;
  std::array<char, 1> last{};
  TRY(files.read_at(path, size_bytes - 1, last));
  return last[0] != '\n';
}

/// Not behind another writer's half line, which would swallow them.
bool has_lines(const std::string& text, const std::string& lines) {
  return text.starts_with(lines) || text.find("\n" + lines) != std::string::npos;
}

/// Are these lines in the file that bears the name now, `from` on?
Result<bool> holds(FileSystem& files, const Path& path, std::uint64_t from, const std::string& lines) {
  constexpr std::size_t kChunk = 64U << 10;
  std::string text;
  while (true) {
    std::string buffer(kChunk, '\0');
    const auto count = files.read_at(path, from + text.size(), buffer);
    if (!count && count.error().kind == ErrorKind::not_found) return false;
    if (!count) return tl::unexpected(count.error());
    if (*count == 0) return has_lines(text, lines);
    text.append(buffer, 0, *count);
  }
}

}  // namespace

Path closed_journal(const Path& journal) {
  return journal.parent_path() / "journal.closed.jsonl";
}

Path compacted_journal(const Path& journal) {
  return journal.parent_path() / "journal.compacted.jsonl";
}

Status append_journal(FileSystem& files, const Path& path, const JournalEntry& entry) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto info = files.stat(path);
    if (!info && info.error().kind != ErrorKind::not_found) return tl::unexpected(info.error());
    std::string lines;
    if (info && TRY(ends_torn(files, path, info->size_bytes))) {
      lines = "\n" + to_line(Json{{"at", to_rfc3339(entry.at)}, {"kind", kTornLine}}) + "\n";
    }
    lines += to_line(entry.body) + "\n";
    TRY(files.append_durably(path, lines));
    if (!info) TRY(files.sync_directory(path.parent_path()));
    // Written into a journal that was closed at that moment it might be overlooked there.
    if (TRY(holds(files, path, info ? info->size_bytes : 0, lines))) return {};
  }
  return fail(ErrorKind::unavailable,
              fmt::format("the journal {} is replaced again and again", path.string()),
              "Does another program write in the archive?");
}

}  // namespace walback
