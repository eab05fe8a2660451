#include "archive/verify_segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/crc32c.h"

namespace walback {
namespace {

/// The file's bytes in large pieces, each of them summed up as it comes by; earlier segments as they are
/// asked for.
class SummingSource : public WalSource {
 public:
  SummingSource(FileSystem& files, SegmentSize size, const SegmentFile& file,
                const SegmentSource::Locate& others)
      : files_(files), size_(size), file_(file), earlier_(files, size, others), buffer_(kPiece) {}

  Result<std::span<const char>> bytes_from(Lsn position) override {
    const SegmentNumber number = segment_of(position, size_);
    if (number < file_.name.number) return earlier_.bytes_from(position);
    if (number > file_.name.number) return std::span<const char>{};
    const std::uint64_t offset = position - start_of(number, size_);
    while (!ended_ && offset >= begin_ + held_) TRY(next_piece());
    if (offset >= begin_ && offset < begin_ + held_)
      return std::span<const char>(buffer_).subspan(offset - begin_, held_ - (offset - begin_));
    if (offset >= begin_) return std::span<const char>{};
    // Back before the piece at hand: read once more, and not summed again.
    again_.resize(kPageSize);
    const std::size_t got = TRY(files_.read_at(file_.path, offset, again_));
    return std::span<const char>(again_).first(got);
  }

  /// Of the whole file.
  Result<std::uint32_t> checksum() {
    while (!ended_) TRY(next_piece());
    return crc32c_finish(crc_);
  }
  [[nodiscard]] std::uint64_t bytes() const { return begin_ + held_; }

 private:
  static constexpr std::size_t kPiece = 1U << 20;

  Status next_piece() {
    begin_ += held_;
    held_ = 0;
    held_ = TRY(files_.read_at(file_.path, begin_, buffer_));
    crc_ = crc32c_extend(crc_, buffer_.data(), held_);
    ended_ = held_ < kPiece;
    return {};
  }

  FileSystem& files_;
  SegmentSize size_;
  const SegmentFile& file_;
  SegmentSource earlier_;
  std::vector<char> buffer_, again_;
  std::uint64_t begin_ = 0, held_ = 0;
  bool ended_ = false;
  std::uint32_t crc_ = kCrc32cInit;
};

/// What the records say; where they are right, empty.
std::string judge_records(const ReadStop& stop, const SegmentRow& row, bool partial, Lsn reached) {
  if (std::string problem = problem_of(stop, partial); !problem.empty()) return problem;
  if (reached >= row.valid_end_lsn) return "";
  return fmt::format("damaged at {}: {}, and it was indexed up to {}", to_string(reached),
                     stop.reason.empty() ? std::string(name_of(stop.kind)) : stop.reason,
                     to_string(row.valid_end_lsn));
}

}  // namespace

Result<SegmentVerdict> verify_segment(FileSystem& files, const ArchiveIdentity& identity,
                                      const SegmentFile& file, const SegmentRow& row,
                                      const ReadingPlan& how) {
  const SegmentSize size = identity.segment_size;
  SummingSource source(files, size, file, how.locate);
  RecordReader reader(source,
                      {.system_identifier = identity.system_identifier,
                       .segment_size = size,
                       .timelines = timelines_of(how.history)},
                      how.from);
  SegmentVerdict verdict{.problem = {}, .good_until = how.from.lsn};
  while (const Record* const record = reader.next()) verdict.good_until = record->end_lsn;
  const auto gone = [](const Error& error) { return error.kind == ErrorKind::not_found; };
  if (reader.stop().kind == StopKind::unreadable && gone(reader.source_error())) {
    verdict.vanished = true;
    return verdict;
  }
  verdict.problem = judge_records(reader.stop(), row, file.partial, verdict.good_until);
  if (file.partial) {
    verdict.read_bytes = source.bytes();
    return verdict;
  }
  const auto checksum = source.checksum();
  verdict.read_bytes = source.bytes();
  verdict.vanished = !checksum && gone(checksum.error());
  if (!checksum && verdict.problem.empty()) verdict.problem = "unreadable: " + checksum.error().message;
  if (!checksum || !verdict.problem.empty()) return verdict;
  if (source.bytes() != size.bytes()) {
    verdict.problem = fmt::format("wrong size: {} bytes, expected {}", source.bytes(), size.bytes());
  } else if (row.problem.empty() && row.file_crc32c && *checksum != *row.file_crc32c) {
    verdict.problem = fmt::format(
        "unreadable: its bytes have checksum {:08x}, captured were {:08x}; every record in it is valid",
        *checksum, *row.file_crc32c);
  }
  return verdict;
}

}  // namespace walback
