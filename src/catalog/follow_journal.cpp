#include "catalog/follow_journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/crc32c.h"
#include "base/text.h"

namespace walback {
namespace {

/// "<offset> <checksum of the bytes before it> <the closed parts>"
constexpr const char* kFollowedFact = "journal_followed";
constexpr std::size_t kTailBytes = 256;

/// The parts before the newest one: each is only ever replaced as a whole.
std::string closed_parts(FileSystem& files, const Path& journal) {
  std::string parts;
  for (const Path& path : {compacted_journal(journal), closed_journal(journal)}) {
    const auto info = files.stat(path);
    parts += info ? fmt::format(" {}-{}", info->size_bytes, info->mtime_ns) : " none";
  }
  return parts;
}

/// Empty: the journal does not reach there.
Result<std::string> place_at(FileSystem& files, const Path& journal, std::uint64_t offset,
                             const std::string& parts) {
  std::array<char, kTailBytes> tail{};
  const std::size_t size = std::min<std::uint64_t>(offset, tail.size());
  const std::span<char> before(tail.data(), size);
  const auto got = files.read_at(journal, offset - size, before);
  if (!got && got.error().kind != ErrorKind::not_found) return tl::unexpected(got.error());
  if (got.value_or(0) != size) return std::string();
  const std::uint32_t checksum = crc32c_finish(crc32c_extend(kCrc32cInit, tail.data(), size));
  return fmt::format("{} {:08X}", offset, checksum) + parts;
}

/// Nothing: it is another journal, or was never followed.
Result<std::optional<std::uint64_t>> followed_to(FileSystem& files, const Path& journal,
                                                 const Catalog& catalog) {
  const std::string known = TRY(catalog.fact(kFollowedFact)).value_or("");
  const auto offset = parse_decimal(std::string_view(known).substr(0, known.find(' ')));
  if (!offset) return std::optional<std::uint64_t>{};
  const std::string place = TRY(place_at(files, journal, *offset, closed_parts(files, journal)));
  return place == known ? offset : std::nullopt;
}

}  // namespace

Result<FollowedJournal> follow_journal(FileSystem& files, const Path& journal, Catalog& catalog) {
  FollowedJournal followed;
  const auto size = [&]() -> std::uint64_t {
    const auto info = files.stat(journal);
    return info ? info->size_bytes : 0;
  };
  const auto known = TRY(followed_to(files, journal, catalog));
  if (known && *known == size()) return followed;
  // Read inside the transaction: a line that is written meanwhile has a row that is written after ours.
  TRY(catalog.transaction([&]() -> Status {
    // Looked at before anything is read: what is closed meanwhile is read whole the next time.
    const std::string parts = closed_parts(files, journal);
    const std::uint64_t from = TRY(followed_to(files, journal, catalog)).value_or(0);
    JournalContent content = TRY(read_journal(files, journal, from));
    TRY(replay_journal(catalog, content.entries));
    followed = {content.entries.size(), std::move(content.damage)};
    const std::string place = TRY(place_at(files, journal, content.end, parts));
    return catalog.put_fact(kFollowedFact, place);
  }));
  return followed;
}

}  // namespace walback
