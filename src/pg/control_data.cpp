#include "pg/control_data.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <vector>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::chrono::seconds kControlDataTimeout{30};
/// A running server rewrites pg_control in place: a reader in between sees a CRC that does not fit.
constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kPause{50};
constexpr const char* kDamagedHint =
    "Take another base backup; if this is a server's own directory, stop using it at once.";

using Lines = std::map<std::string, std::string, std::less<>>;

Lines lines_of(std::string_view text) {
  Lines lines;
  for (const std::string_view line : split(text, '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    lines.emplace(trim(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return lines;
}

/// Reads one line after the other and keeps the first fault: twenty fields, one place for the error.
class Reader {
 public:
  Reader(Lines lines, std::string what) : lines_(std::move(lines)), what_(std::move(what)) {}

  std::string text(std::string_view name) {
    const auto found = lines_.find(name);
    if (found != lines_.end()) return found->second;
    fault(fmt::format("pg_controldata of {} has no line '{}'", what_, name));
    return {};
  }

  template <class Number>
  void number(std::string_view name, Number& into) {
    const std::string value = text(name);
    const auto parsed = parse_decimal(value);
    if (!parsed || static_cast<std::uint64_t>(static_cast<Number>(*parsed)) != *parsed) {
      return senseless(name, value, "a number");
    }
    into = static_cast<Number>(*parsed);
  }

  void lsn(std::string_view name, Lsn& into) {
    const std::string value = text(name);
    const auto parsed = parse_lsn(value);
    if (!parsed) return senseless(name, value, "an LSN");
    into = *parsed;
  }

  void timeline(std::string_view name, TimelineId& into) { number(name, into.value); }

  void flag(std::string_view name, bool& into, std::string_view yes, std::string_view no) {
    const std::string value = text(name);
    if (value != yes && value != no) return senseless(name, value, fmt::format("'{}' or '{}'", yes, no));
    into = value == yes;
  }

  void senseless(std::string_view name, const std::string& value, std::string_view expected) {
    fault(fmt::format("pg_controldata of {}: '{}' is '{}', expected {}", what_, name, value, expected));
  }

  [[nodiscard]] const std::string& first_fault() const { return fault_; }

 private:
  void fault(std::string text) {
    if (fault_.empty()) fault_ = std::move(text);
  }

  Lines lines_;
  std::string what_;
  std::string fault_;
};

void read_next_xid(Reader& reader, ControlData& data) {
  const std::string name = "Latest checkpoint's NextXID";
  const std::string value = reader.text(name);
  const auto parts = split(value, ':');
  const auto epoch = parse_decimal(parts.front());
  const auto xid = parts.size() == 2 ? parse_decimal(parts[1]) : std::nullopt;
  if (!epoch || !xid || *epoch > UINT32_MAX || *xid > UINT32_MAX) {
    return reader.senseless(name, value, "an epoch and an xid, as in 0:731");
  }
  data.next_xid = (*epoch << 32) | *xid;
}

void read_positions(Reader& reader, ControlData& data) {
  reader.lsn("Latest checkpoint location", data.checkpoint_lsn);
  reader.lsn("Latest checkpoint's REDO location", data.redo_lsn);
  reader.timeline("Latest checkpoint's TimeLineID", data.timeline);
  reader.timeline("Latest checkpoint's PrevTimeLineID", data.previous_timeline);
  reader.lsn("Minimum recovery ending location", data.minimum_recovery_end_lsn);
  reader.timeline("Min recovery ending loc's timeline", data.minimum_recovery_end_timeline);
  reader.lsn("Backup start location", data.backup_start_lsn);
  reader.lsn("Backup end location", data.backup_end_lsn);
  reader.flag("End-of-backup record required", data.backup_end_required, "yes", "no");
}

void read_settings(Reader& reader, ControlData& data) {
  data.wal_level = reader.text("wal_level setting");
  reader.number("max_connections setting", data.max_connections);
  reader.number("max_worker_processes setting", data.max_worker_processes);
  reader.number("max_wal_senders setting", data.max_wal_senders);
  reader.number("max_prepared_xacts setting", data.max_prepared_transactions);
  reader.number("max_locks_per_xact setting", data.max_locks_per_transaction);
  reader.flag("track_commit_timestamp setting", data.track_commit_timestamp, "on", "off");
  reader.flag("Latest checkpoint's full_page_writes", data.full_page_writes, "on", "off");
}

}  // namespace

Result<ControlData> parse_control_data(std::string_view text, const std::string& what) {
  Reader reader(lines_of(text), what);
  ControlData data;
  reader.number("Database system identifier", data.system_identifier);
  reader.number("pg_control version number", data.pg_control_version);
  reader.number("Catalog version number", data.catalog_version);
  data.state = reader.text("Database cluster state");
  read_positions(reader, data);
  read_next_xid(reader, data);
  read_settings(reader, data);

  std::uint64_t segment_bytes = 0;
  reader.number("Bytes per WAL segment", segment_bytes);
  if (const auto size = SegmentSize::from_bytes(segment_bytes)) {
    data.segment_size = *size;
  } else {
    reader.senseless("Bytes per WAL segment", std::to_string(segment_bytes),
                     "a power of two from 1 MB to 1 GB");
  }
  std::uint32_t checksum_version = 0;
  reader.number("Data page checksum version", checksum_version);
  data.data_checksums = checksum_version > 0;

  if (!reader.first_fault().empty()) return fail(ErrorKind::corrupt, reader.first_fault());
  return data;
}

Result<ControlData> read_control_data(const Binaries& binaries, const Path& data_directory) {
  const std::string what = fmt::format("'{}'", data_directory.string());
  const Path file = data_directory / "global" / "pg_control";
  if (!exists(real_file_system(), file)) {
    return fail(ErrorKind::not_found,
                fmt::format("{} is no data directory: '{}' does not exist", what, file.string()));
  }
  Command command;
  command.program = binaries.program("pg_controldata");
  command.arguments = {"-D", data_directory.string()};
  for (int attempt = 1;; ++attempt) {
    const Output output = TRY(run(command, kControlDataTimeout));
    if (!output.status.success()) {
      const std::string said =
          trim(output.err).empty() ? to_string(output.status) : std::string(trim(output.err));
      return fail(ErrorKind::corrupt, fmt::format("pg_control of {} cannot be read: {}", what, said),
                  kDamagedHint);
    }
    // A wrong CRC is only a warning of pg_controldata, and every value after it worthless.
    const bool damaged =
        (output.out + output.err).find("alculated CRC checksum does not match") != std::string::npos;
    if (!damaged) return parse_control_data(output.out, what);
    if (attempt == kAttempts) {
      return fail(ErrorKind::corrupt,
                  fmt::format("pg_control of {} is damaged: its CRC does not match", what), kDamagedHint);
    }
    sleep_for({}, kPause);
  }
}

}  // namespace walback
