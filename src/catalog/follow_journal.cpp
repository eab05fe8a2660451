#include "catalog/follow_journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/crc32c.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr const char* kFollowedFact = "journal_followed";  ///< "<offset> <checksum of the bytes before it>"
constexpr std::size_t kTailBytes = 256;

Result<std::string> place_at(FileSystem& files, const Path& journal, std::uint64_t offset) {
  std::array<char, kTailBytes> tail{};
  const std::size_t size = std::min<std::uint64_t>(offset, tail.size());
  const std::span<char> before(tail.data(), size);
  const auto got = files.read_at(journal, offset - size, before);
  if (!got && got.error().kind != ErrorKind::not_found) return tl::unexpected(got.error());
  const std::size_t count = got.value_or(0);
  return fmt::format("{} {:08X}", offset, crc32c_finish(crc32c_extend(kCrc32cInit, tail.data(), count)));
}

/// 0: it is another journal, or was never followed.
Result<std::uint64_t> followed_to(FileSystem& files, const Path& journal, const Catalog& catalog) {
  const std::string known = TRY(catalog.fact(kFollowedFact)).value_or("");
  const auto offset = parse_decimal(std::string_view(known).substr(0, known.find(' ')));
  if (!offset || TRY(place_at(files, journal, *offset)) != known) return std::uint64_t{0};
  return *offset;
}

}  // namespace

Result<FollowedJournal> follow_journal(FileSystem& files, const Path& journal, Catalog& catalog) {
  FollowedJournal followed;
  const auto size = [&]() -> std::uint64_t {
    const auto info = files.stat(journal);
    return info ? info->size_bytes : 0;
  };
  const std::uint64_t known = TRY(followed_to(files, journal, catalog));
  if (known != 0 && known == size()) return followed;
  // Read inside the transaction: a line that is written meanwhile has a row that is written after ours.
  TRY(catalog.transaction([&]() -> Status {
    const std::uint64_t from = TRY(followed_to(files, journal, catalog));
    JournalContent content = TRY(read_journal(files, journal, from));
    TRY(replay_journal(catalog, content.entries));
    followed = {content.entries.size(), std::move(content.damage)};
    const std::string place = TRY(place_at(files, journal, content.end));
    return catalog.put_fact(kFollowedFact, place);
  }));
  return followed;
}

}  // namespace walback
