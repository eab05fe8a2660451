#pragma once
#include <functional>
#include <stop_token>
#include <string>

#include "lab/lab_state.h"
#include "pg/binaries.h"
#include "pg/connection.h"

/// Making and starting a lab's two servers.
namespace walback {

/// What both work with. `record` writes lab.json; it is called whenever `state` changed.
struct LabWork {
  LabState& state;
  const Binaries& binaries;
  std::function<Status()> record;
  std::stop_token stop;
};

/// initdb and the settings of a primary: WAL for a standby, slots, commit times, checksums.
[[nodiscard]] Status create_primary(const LabWork& work, LabServer& server);
/// pg_basebackup -R with a slot of its own, `standby`. What a killed attempt left is removed first.
[[nodiscard]] Status create_standby(const LabWork& work, LabServer& server);
/// The same of any server that takes writes.
[[nodiscard]] Status create_standby_of(const LabWork& work, LabServer& server, const LabServer& primary);

/// Starts it where it is not running, and waits until it lets us in. With `may_move` another port is taken
/// when somebody else was quicker; without, that is a `conflict`. The server's last words are in the error.
[[nodiscard]] Status start_lab_server(const LabWork& work, LabServer& server, bool may_move);

/// A free port between 20000 and 29999, below what the kernel gives to outgoing connections.
[[nodiscard]] Result<std::uint16_t> random_free_port();

/// The end of a log as evidence: at most `lines` lines, "(empty)" where there is nothing.
[[nodiscard]] std::string log_tail(const Path& log, std::size_t lines = 15);

/// The text of `lab.conf`, which postgresql.conf includes. Pure.
[[nodiscard]] std::string lab_settings(const LabState& state, const LabServer& server);

}  // namespace walback
