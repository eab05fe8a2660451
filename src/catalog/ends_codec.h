#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wal/events.h"

namespace walback {

/// Transaction ends as bytes: what the catalog keeps of every commit and abort. A row each would cost 64
/// bytes with its indexes; a pgbench-like stream costs 4 to 5 bytes a commit here.
///
///     byte 0      format version, 1
///     byte 1      shift: 3 when every LSN is a multiple of 8 (as PostgreSQL writes them), else 0
///     varint      count
///     each end    one byte of flags (kind, what follows, the two most frequent deltas), then varints:
///                 distance from the former end's end_lsn, length, zigzag time delta, zigzag xid delta,
///                 subxids, files, relations
///     last 4      CRC-32C of everything before, little-endian
///
/// Differences wrap, so any value makes the round trip; only ascending LSNs make it small. The checksum is
/// there because SQLite has none: a flipped bit would move every later LSN, and with it the stop of a
/// restore.
[[nodiscard]] std::string encode_ends(std::span<const TransactionEnd> ends);

/// In the order of encoding; `visit` returns false to stop. The checksum is checked before the first visit.
/// Errors: corrupt; the message says what was found and what was expected.
[[nodiscard]] Status decode_ends(std::string_view blob, const std::function<bool(TransactionEnd&&)>& visit);
[[nodiscard]] Result<std::vector<TransactionEnd>> decode_ends(std::string_view blob);

}  // namespace walback
