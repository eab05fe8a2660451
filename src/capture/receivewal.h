#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "os/process.h"
#include "wal/segment_name.h"

/// pg_receivewal: how it is started, what its lines mean, what it needs in its directory.
namespace walback {

/// What a line of `pg_receivewal --verbose` tells. Its own words are in English because its locale is C. The
/// server's words inside follow the server's lc_messages, which only a superuser may change: what must not be
/// missed in any language is therefore asked of the primary too (slot_guard.h).
enum class ReceivewalLine : std::uint8_t {
  information,    ///< streaming started, a segment finished, a timeline switched, …
  disconnected,   ///< its last word after any failure
  unreachable,    ///< no server, or one that is starting up or shutting down
  not_permitted,  ///< role, password, pg_hba.conf
  slot_active,    ///< another receiver holds the slot, perhaps our own predecessor for a moment
  slot_missing,
  wal_removed,     ///< the WAL that must come next is gone from the primary
  not_in_history,  ///< the primary's timeline forked before what we hold
  disk_full,
  wrong_partial_size,  ///< the `.partial` has neither no bytes nor a segment's
  other_error
};
[[nodiscard]] ReceivewalLine classify_receivewal_line(std::string_view line);

struct ReceivewalOptions {
  Path program;
  Path directory;
  std::string conninfo;  ///< as make_receiver_conninfo made it
  std::string slot;
  bool synchronous = true;
};
/// `--no-loop`, because pg_receivewal's own loop waits 5 s after each loss; a status a second, so that
/// write_lsn is news; never compressed (what a killed compressor holds back is lost).
[[nodiscard]] Command receivewal_command(const ReceivewalOptions& options);

/// The primary's conninfo with our application_name (kReceiverName), and with keepalives and
/// tcp_user_timeout, without which a connection whose other end vanished is noticed after two hours.
/// `english`: the server lets this role choose the language of its messages, which is then that of
/// classify_receivewal_line.
[[nodiscard]] Result<std::string> make_receiver_conninfo(const std::string& conninfo, bool english = false);

/// pg_receivewal fills a new `.partial` with zeros before its first byte of WAL. Killed (or out of room) in
/// the middle of that it leaves a short file, and refuses to start over it, for ever: "has 81920 bytes,
/// should be 0 or 16777216". The zeros that are missing are appended; nothing that is there is touched.
/// Returns the names of the files that were completed.
[[nodiscard]] Result<std::vector<std::string>> complete_padding(FileSystem& files, const Path& epoch,
                                                                SegmentSize size, std::stop_token stop);

}  // namespace walback
