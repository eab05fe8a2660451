#include "wal/backup_label.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::array<std::string_view, 7> kLines = {
    "START WAL LOCATION", "CHECKPOINT LOCATION", "BACKUP METHOD", "BACKUP FROM", "START TIME", "LABEL",
    "START TIMELINE"};
enum Line : std::size_t { start_wal, checkpoint, method, from, start_time, label, start_timeline };
using Values = std::array<std::optional<std::string_view>, kLines.size()>;

constexpr std::string_view kHint = "The base backup is not whole; take another one.";

Result<Values> collect(std::string_view text) {
  Values values;
  for (auto line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto colon = line.find(": ");
    for (std::size_t i = 0; i < kLines.size() && colon != std::string_view::npos; ++i) {
      if (line.substr(0, colon) != kLines[i]) continue;
      if (values[i]) {
        return fail(ErrorKind::corrupt, fmt::format("backup_label has two lines '{}'", kLines[i]),
                    std::string(kHint));
      }
      values[i] = line.substr(colon + 2);
    }
  }
  for (std::size_t i = 0; i < kLines.size(); ++i) {
    if (!values[i]) {
      return fail(ErrorKind::corrupt, fmt::format("backup_label has no line '{}'", kLines[i]),
                  std::string(kHint));
    }
  }
  return values;
}

tl::unexpected<Error> unreadable(Line line, std::string_view value, std::string_view expected) {
  return fail(ErrorKind::corrupt,
              fmt::format("backup_label, line '{}': found '{}', expected {}", kLines[line], value, expected),
              std::string(kHint));
}

}  // namespace

Result<BackupLabel> parse_backup_label(std::string_view text) {
  const Values values = TRY(collect(text));
  const auto value = [&](Line line) { return *values[line]; };

  // "0/2000028 (file 000000010000000000000002)"
  const auto start = value(start_wal);
  constexpr std::string_view kFile = " (file ";
  const auto file = start.find(kFile);
  const auto start_lsn = parse_lsn(start.substr(0, file));
  if (file == std::string_view::npos || !start.ends_with(')') || !start_lsn) {
    return unreadable(start_wal, start, "an LSN and a segment file");
  }
  const auto file_begin = file + kFile.size();
  const auto checkpoint_lsn = parse_lsn(value(checkpoint));
  if (!checkpoint_lsn) return unreadable(checkpoint, value(checkpoint), "an LSN");
  const auto timeline = parse_decimal(value(start_timeline));
  if (!timeline || *timeline == 0 || *timeline > 0xFFFFFFFFU) {
    return unreadable(start_timeline, value(start_timeline), "a timeline");
  }
  return BackupLabel{*start_lsn,
                     std::string(start.substr(file_begin, start.size() - 1 - file_begin)),
                     *checkpoint_lsn,
                     std::string(value(method)),
                     std::string(value(from)),
                     std::string(value(start_time)),
                     std::string(value(label)),
                     {static_cast<std::uint32_t>(*timeline)}};
}

}  // namespace walback
