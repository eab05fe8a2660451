#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/timestamp.h"
#include "catalog/archive_layout.h"
#include "catalog/journal.h"
#include "os/file_system.h"

namespace walback {

inline constexpr std::chrono::milliseconds kDefaultSynchronousTimeout{10'000};
inline constexpr std::chrono::milliseconds kShortestSynchronousTimeout{1'000};
inline constexpr std::chrono::milliseconds kLongestSynchronousTimeout{3'600'000};
/// How long a receiver must keep up before commits wait for it again. Doubled with each fallback that comes
/// within kFlapTime of the last return: one that comes and goes must not stop the primary again and again.
inline constexpr std::chrono::milliseconds kShortestQuiet{2'000};
inline constexpr std::chrono::milliseconds kLongestQuiet{300'000};
inline constexpr std::chrono::milliseconds kFlapTime{600'000};

/// Synchronous mode is wanted: what `walback sync on` decided, kept by the primary itself as the setting
/// walback.synchronous in postgresql.auto.conf. There, because it must outlive a restart of the primary and
/// of every watcher, be known to a watcher on any machine, and travel with synchronous_standby_names when
/// that file is copied. No note: the mode is off, or not walback's business.
///
/// Whether commits wait now is told by synchronous_standby_names alone: the note may be a crash older.
struct SynchronousNote {
  std::chrono::milliseconds timeout{kDefaultSynchronousTimeout};  ///< the longest that a commit may wait
  std::string names;     ///< synchronous_standby_names while commits wait
  std::string fallback;  ///< and while they do not: what stood there before, without walback's receiver
  bool reset = false;    ///< `fallback` comes from a configuration file: ALTER SYSTEM RESET brings it back
  std::optional<Timestamp> fell_back_at;  ///< the primary's clock; nothing: not fallen back
  std::string reason;                     ///< of the last fallback
  std::optional<Timestamp> returned_at;   ///< the last time
  std::chrono::milliseconds quiet{kShortestQuiet};
  bool operator==(const SynchronousNote&) const = default;
};

[[nodiscard]] std::string to_text(const SynchronousNote& note);  ///< one line of JSON
/// "" is nothing. What cannot be read is corrupt.
[[nodiscard]] Result<std::optional<SynchronousNote>> parse_synchronous_note(const std::string& text);

[[nodiscard]] SynchronousNote fallen_back(SynchronousNote note, Timestamp now, std::string reason);
[[nodiscard]] SynchronousNote returned(SynchronousNote note, Timestamp now);

/// Is synchronous mode what it should be?
enum class SynchronousState : std::uint8_t {
  off,          ///< no note, and nobody waits for the receiver
  unwatched,    ///< no note, and synchronous_standby_names lists the receiver: a person's own doing, no bound
  waiting,      ///< commits wait
  fallen_back,  ///< commits do not wait until the receiver has caught up
  overridden,   ///< a note, and somebody has set synchronous_standby_names to something else since
};
[[nodiscard]] std::string_view name_of(SynchronousState state);
[[nodiscard]] SynchronousState synchronous_state(const std::optional<SynchronousNote>& note,
                                                 const std::string& names, std::string_view receiver);

/// Journal lines of kind "synchronous", for people and for `check`: the mode that this archive's primary was
/// last given, whoever is the primary now.
enum class SynchronousEvent : std::uint8_t { on, off, fell_back, returned };
[[nodiscard]] JournalEntry journal_entry(Timestamp at, SynchronousEvent event, const SynchronousNote& note);
/// Once: another watcher of the same archive may have been first. A journal that cannot be written is logged;
/// what was done on the primary stands.
void note_change(FileSystem& files, const ArchiveLayout& layout, Log& log, const JournalEntry& entry);
/// The newest of them is not `off`. A journal that cannot be read: false.
[[nodiscard]] bool synchronous_mode_was_on(FileSystem& files, const ArchiveLayout& layout);

}  // namespace walback
