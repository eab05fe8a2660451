#include "catalog/ends_codec.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "base/crc32c.h"

namespace walback {
namespace {

constexpr unsigned char kVersion = 1;
constexpr std::size_t kHeaderBytes = 2;
constexpr std::size_t kChecksumBytes = 4;

// The byte of flags: bits 0-1 kind, 2-4 what follows, 5 "as long as the former one", 6-7 the xid's delta.
constexpr unsigned kKindMask = 0x03;
constexpr unsigned kHasSubxids = 0x04;
constexpr unsigned kHasFiles = 0x08;
constexpr unsigned kHasRelations = 0x10;
constexpr unsigned kSameLength = 0x20;
constexpr unsigned kXidShift = 6;
/// Index 0 stands for "written out": the deltas that single-statement commits have nearly always.
constexpr std::array<std::int32_t, 4> kFrequentXidDeltas{0, 1, 2, -1};

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}
std::int32_t difference(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b);
}

/// What the next end is told apart from.
struct Former {
  Lsn end_lsn;
  std::uint64_t length = 0;
  std::int64_t time = 0;
  std::uint32_t xid = 0;
};

class Encoder {
 public:
  explicit Encoder(unsigned shift) : shift_(shift) {
    bytes_ += static_cast<char>(kVersion);
    bytes_ += static_cast<char>(shift);
  }

  void varint(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_ += static_cast<char>(0x80 | (value & 0x7F));
      value >>= 7;
    }
    bytes_ += static_cast<char>(value);
  }

  void end(const TransactionEnd& end) {
    const std::uint64_t length = end.end_lsn.value - end.lsn.value;
    const std::int32_t xid_delta = difference(end.xid, former_.xid);
    unsigned xid_code = 0;
    for (unsigned code = 1; code < kFrequentXidDeltas.size(); ++code) {
      if (kFrequentXidDeltas[code] == xid_delta) xid_code = code;
    }
    unsigned flags = static_cast<unsigned>(end.kind) | xid_code << kXidShift;
    if (!end.subxids.empty()) flags |= kHasSubxids;
    if (!end.removed_files.empty()) flags |= kHasFiles;
    if (!end.dropped_relations.empty()) flags |= kHasRelations;
    if (length == former_.length) flags |= kSameLength;
    bytes_ += static_cast<char>(flags);

    varint((end.lsn.value - former_.end_lsn.value) >> shift_);
    if (length != former_.length) varint(length >> shift_);
    varint(zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(end.time.unix_us) -
                                            static_cast<std::uint64_t>(former_.time))));
    if (xid_code == 0) varint(zigzag(xid_delta));
    former_ = {end.end_lsn, length, end.time.unix_us, end.xid};
    lists(end);
  }

  std::string finish() {
    const std::uint32_t checksum = crc32c(bytes_);
    for (unsigned i = 0; i < kChecksumBytes; ++i) bytes_ += static_cast<char>(checksum >> (8 * i) & 0xFF);
    return std::move(bytes_);
  }

 private:
  void number(std::uint32_t value, std::uint32_t& former) {
    varint(zigzag(difference(value, former)));
    former = value;
  }

  void lists(const TransactionEnd& end) {
    if (!end.subxids.empty()) {
      varint(end.subxids.size());
      std::uint32_t former = end.xid;
      for (const std::uint32_t xid : end.subxids) number(xid, former);
    }
    if (!end.removed_files.empty()) {
      varint(end.removed_files.size());
      RelationFiles former;
      for (const RelationFiles& files : end.removed_files) {
        number(files.tablespace, former.tablespace);
        number(files.database, former.database);
        number(files.relfilenode, former.relfilenode);
      }
    }
    if (!end.dropped_relations.empty()) {
      varint(end.dropped_relations.size());
      DroppedRelation former;
      for (const DroppedRelation& relation : end.dropped_relations) {
        number(relation.database, former.database);
        number(relation.oid, former.oid);
      }
    }
  }

  std::string bytes_;
  unsigned shift_;
  Former former_;
};

/// Reads past the end and malformed numbers make `bad` true and yield zero, so that the story above is told
/// without a branch at each step.
class Decoder {
 public:
  Decoder(std::string_view bytes, unsigned shift) : bytes_(bytes), shift_(shift) {}

  [[nodiscard]] bool bad() const { return bad_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - at_; }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned bits = 0; bits < 64; bits += 7) {
      const unsigned byte = one_byte();
      if (bad_ || (bits == 63 && byte > 1)) break;
      value |= static_cast<std::uint64_t>(byte & 0x7F) << bits;
      if (byte < 0x80) return value;
    }
    bad_ = true;
    return 0;
  }

  TransactionEnd end() {
    TransactionEnd end;
    const unsigned flags = one_byte();
    end.kind = static_cast<TransactionEndKind>(flags & kKindMask);
    end.lsn = {former_.end_lsn.value + (varint() << shift_)};
    const std::uint64_t length = flags & kSameLength ? former_.length : varint() << shift_;
    end.end_lsn = {end.lsn.value + length};
    end.time = {static_cast<std::int64_t>(static_cast<std::uint64_t>(former_.time) +
                                          static_cast<std::uint64_t>(unzigzag(varint())))};
    const unsigned xid_code = flags >> kXidShift;
    end.xid = former_.xid;
    if (xid_code == 0) {
      number(end.xid);
    } else {
      end.xid += static_cast<std::uint32_t>(kFrequentXidDeltas[xid_code]);
    }
    former_ = {end.end_lsn, length, end.time.unix_us, end.xid};
    lists(flags, end);
    return end;
  }

 private:
  unsigned one_byte() {
    if (at_ >= bytes_.size()) {
      bad_ = true;
      return 0;
    }
    return static_cast<unsigned char>(bytes_[at_++]);
  }

  void number(std::uint32_t& former) {
    const std::int64_t delta = unzigzag(varint());
    if (delta < INT32_MIN || delta > INT32_MAX) bad_ = true;
    former += static_cast<std::uint32_t>(delta);
  }

  /// Every item takes at least `least_bytes`: garbage must not make us allocate.
  std::size_t count(std::size_t least_bytes) {
    const std::uint64_t items = varint();
    if (items == 0 || items > remaining() / least_bytes) bad_ = true;
    return bad_ ? 0 : static_cast<std::size_t>(items);
  }

  void lists(unsigned flags, TransactionEnd& end) {
    if (flags & kHasSubxids) {
      end.subxids.resize(count(1));
      std::uint32_t former = end.xid;
      for (std::uint32_t& xid : end.subxids) {
        number(former);
        xid = former;
      }
    }
    if (flags & kHasFiles) {
      end.removed_files.resize(count(3));
      RelationFiles former;
      for (RelationFiles& files : end.removed_files) {
        number(former.tablespace);
        number(former.database);
        number(former.relfilenode);
        files = former;
      }
    }
    if (flags & kHasRelations) {
      end.dropped_relations.resize(count(2));
      DroppedRelation former;
      for (DroppedRelation& relation : end.dropped_relations) {
        number(former.database);
        number(former.oid);
        relation = former;
      }
    }
  }

  std::string_view bytes_;
  unsigned shift_;
  std::size_t at_ = 0;
  bool bad_ = false;
  Former former_;
};

bool all_aligned(std::span<const TransactionEnd> ends) {
  for (const TransactionEnd& end : ends) {
    if ((end.lsn.value | end.end_lsn.value) & 7) return false;
  }
  return true;
}

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, "stored transaction ends are damaged: " + std::move(what));
}

Status check_frame(std::string_view blob) {
  if (blob.size() < kHeaderBytes + 1 + kChecksumBytes) {
    return corrupt(fmt::format("{} bytes are too few", blob.size()));
  }
  const auto version = static_cast<unsigned char>(blob[0]);
  if (version != kVersion) return corrupt(fmt::format("format {}, expected {}", version, kVersion));
  const std::string_view body = blob.substr(0, blob.size() - kChecksumBytes);
  std::uint32_t stored = 0;
  for (unsigned i = 0; i < kChecksumBytes; ++i) {
    stored |= static_cast<std::uint32_t>(static_cast<unsigned char>(blob[body.size() + i])) << (8 * i);
  }
  const std::uint32_t computed = crc32c(body);
  if (stored != computed) return corrupt(fmt::format("checksum {:08x}, expected {:08x}", stored, computed));
  if (blob[1] != 0 && blob[1] != 3) return corrupt(fmt::format("shift {}", static_cast<int>(blob[1])));
  return {};
}

}  // namespace

std::string encode_ends(std::span<const TransactionEnd> ends) {
  Encoder encoder(all_aligned(ends) ? 3 : 0);
  encoder.varint(ends.size());
  for (const TransactionEnd& end : ends) encoder.end(end);
  return encoder.finish();
}

Status decode_ends(std::string_view blob, const std::function<bool(TransactionEnd&&)>& visit) {
  TRY(check_frame(blob));
  Decoder decoder(blob.substr(kHeaderBytes, blob.size() - kHeaderBytes - kChecksumBytes),
                  static_cast<unsigned>(blob[1]));
  const std::uint64_t count = decoder.varint();
  for (std::uint64_t i = 0; i < count && !decoder.bad(); ++i) {
    TransactionEnd end = decoder.end();
    if (decoder.bad()) break;
    if (!visit(std::move(end))) return {};
  }
  if (decoder.bad()) return corrupt("a number does not fit");
  if (decoder.remaining() != 0) return corrupt(fmt::format("{} bytes too many", decoder.remaining()));
  return {};
}

Result<std::vector<TransactionEnd>> decode_ends(std::string_view blob) {
  std::vector<TransactionEnd> ends;
  TRY(decode_ends(blob, [&](TransactionEnd&& end) {
    ends.push_back(std::move(end));
    return true;
  }));
  return ends;
}

}  // namespace walback
