#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "pg/synchronous_queries.h"
#include "sync/note.h"
#include "sync/policy.h"

/// Turning the synchronous mode on, off, aside and back. Each is ALTER SYSTEM of two settings and a reload,
/// in an order in which a kill at any point leaves commits that wait under a watcher's eyes, or not at all.
namespace walback {

/// A watcher that has not looked for so long does not count.
inline constexpr std::chrono::milliseconds kWatcherSilence{5'000};
/// How long `on` waits for the receiver to flush what the primary had flushed when it was asked.
inline constexpr std::chrono::milliseconds kCatchUpPatience{5'000};

/// What decides whether commits may be made to wait.
struct SynchronousFacts {
  SynchronousView view;
  std::optional<SynchronousNote> note;
  SynchronousPrivileges privileges;
  std::string server_commit;              ///< synchronous_commit of the server
  std::vector<std::string> remote_apply;  ///< for whom it is remote_apply
  bool receiver_syncs = true;             ///< pg_receivewal --synchronous
  bool caught_up = false;                 ///< has flushed what the primary had flushed a moment before
  bool with_others = false;
};
/// Pure. Nothing: they may. Else what is in the way, with what a person does about it.
[[nodiscard]] std::optional<Error> refusal_to_wait(const SynchronousFacts& facts);
/// What `on` would write. Keeps what is to be restored from an earlier note.
[[nodiscard]] SynchronousNote planned_note(const SynchronousFacts& facts, std::chrono::milliseconds timeout);
/// Somebody looks, and looked lately.
[[nodiscard]] bool is_watched(const SynchronousView& view);

struct SynchronousRequest {
  std::string conninfo;
  std::optional<std::uint64_t> system_identifier;  ///< the archive's; nothing: take the server as it is
  Clock& clock;
  std::stop_token stop;
};
/// A server with another identifier is foreign_system, a standby a conflict.
[[nodiscard]] Result<Connection> open_synchronous_session(const SynchronousRequest& request);

/// Refused before anything is touched; then written, and verified in a new session and by the walsender's
/// sync_state. What cannot be verified is taken back (`unavailable`).
[[nodiscard]] Result<SynchronousNote> turn_synchronous_on(const SynchronousRequest& request,
                                                          bool receiver_syncs,
                                                          std::chrono::milliseconds timeout,
                                                          bool with_others);
/// Brings back what stood there before; where a person has changed it since, only the note goes. False: it
/// was off.
[[nodiscard]] Result<bool> turn_synchronous_off(const SynchronousRequest& request);

/// What a watcher does about a verdict, after it has looked again: nothing when another watcher, or `off`,
/// was first. The note as it stands then.
[[nodiscard]] Result<std::optional<SynchronousNote>> act_on(Connection& connection,
                                                            const SynchronousPolicy::Judgement& judgement,
                                                            std::stop_token stop);

}  // namespace walback
