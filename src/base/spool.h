#pragma once

/// The spool: how a running restore hands WAL to walback-fetch, which is PostgreSQL's restore_command there:
///
///     walback-fetch <spool> %f %p
///
///     <spool>/plan            written once, before the server starts; lines of text, below
///             ready/<name>    a whole segment or .history file, renamed into place by the feeder
///             served/<name>   empty; that segment has been handed out
///             wanted          the name asked for last, replaced atomically: progress for people
///             failed          the feeder gave up; why, in words
///
/// Lines of the plan, each ended by a line feed:
///     segment_size <bytes>    required, once
///     timeout_ms <n>          required, once: how long a planned name is waited for
///     segment <24 hex>        one for each segment of the plan, of whichever timeline
///     history <name>          one for each .history file that is served
///
/// The spool lies on the file system of the restored cluster's pg_wal, because segments are handed out by
/// rename; nothing in it shares an inode with the archive, because PostgreSQL overwrites recycled segments.
/// Plain literals: walback-fetch starts once a segment, and pays for everything it initialises.
namespace walback::spool {

inline constexpr char kPlan[] = "plan";
inline constexpr char kReady[] = "ready";
inline constexpr char kServed[] = "served";
inline constexpr char kWanted[] = "wanted";
inline constexpr char kFailed[] = "failed";

inline constexpr char kSegmentSizeKey[] = "segment_size";
inline constexpr char kTimeoutKey[] = "timeout_ms";
inline constexpr char kSegmentKey[] = "segment";
inline constexpr char kHistoryKey[] = "history";

/// Exit codes. PostgreSQL reads 1 to 125 as "the archive does not have it", and above 125 stops recovery.
inline constexpr int kPlaced = 0;
inline constexpr int kAbsentByPlan = 1;
inline constexpr int kBroken = 200;

}  // namespace walback::spool
