#pragma once

/// The contract between a restore, which feeds WAL, and walback-fetch, PostgreSQL's restore_command, which hands it
/// out: names inside one spool directory, on the file system of pg_wal.
///
///     <spool>/ready/<name>    a whole segment, or a .history file; renamed into place, never written here
///     <spool>/served/<name>   empty: this segment was handed out before (PostgreSQL then has it in pg_wal)
///     <spool>/plan            written once, before the server starts; a line each:
///                                 segment_size <bytes>
///                                 timeout_ms <how long a planned segment may take to become ready>
///                                 segment <24 hex digits>     in the order of replay
///                                 history <name>
///     <spool>/failed          the feeder cannot go on; its text is the reason
///     <spool>/wanted          the name that was asked for last
namespace walback::spool {

inline constexpr char kReady[] = "ready";
inline constexpr char kServed[] = "served";
inline constexpr char kPlan[] = "plan";
inline constexpr char kFailed[] = "failed";
inline constexpr char kWanted[] = "wanted";

/// Exit codes of walback-fetch. PostgreSQL reads 1 to 125 as "the archive ends here" and 126 and above as "stop
/// recovery": an outage must never look like an end.
inline constexpr int kPlaced = 0;
inline constexpr int kAbsentByPlan = 1;
inline constexpr int kFailure = 200;

}  // namespace walback::spool
