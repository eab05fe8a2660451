#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wal/events.h"

namespace walback {

/// What a record of interest says. Kept by the reader from record to record: the vectors keep their room.
struct Decoded {
  bool ends_transaction = false;
  TransactionEnd transaction_end;
  std::vector<Event> events;
  std::optional<Lsn> overwritten;  ///< of an OVERWRITE_CONTRECORD
};

/// A record as the decoder needs it: `body` is everything behind the record's header.
struct RawRecord {
  Lsn lsn, end_lsn;
  std::uint32_t xid = 0;
  std::uint8_t rmid = 0, info = 0;
  std::span<const char> body;
};

/// Is this one of the few kinds whose body is looked into?
[[nodiscard]] bool is_of_interest(std::uint8_t rmid, std::uint8_t info);

/// Fills `decoded` from a record of interest with a good CRC. Yields a reason where the body does not fit its
/// own lengths; never reads outside it.
[[nodiscard]] std::optional<std::string> decode_record(const RawRecord& record, unsigned server_major,
                                                       Decoded& decoded);

}  // namespace walback
