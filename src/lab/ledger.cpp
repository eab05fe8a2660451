#include "lab/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "base/text.h"
#include "os/system_error.h"
#include "pg/load_queries.h"

namespace walback {
namespace {

constexpr std::size_t kChunkBytes = 1U << 20;
/// No line of ours is longer; what is, is damage, and must not be gathered in memory.
constexpr std::size_t kLineLimitBytes = 64U << 10;
/// An entry in flight has no warning text yet, so that 512 bytes always hold it.
constexpr std::size_t kSlotBytes = 512;

Path in_flight_path(const Path& ledger) {
  Path path = ledger;
  path += ".inflight";
  return path;
}

/// Calls `visit` with each line, the last one without a newline too (`whole` false).
Status each_line(const Path& path, const std::function<void(std::string_view line, bool whole)>& visit) {
  FileSystem& files = real_file_system();
  std::vector<char> chunk(kChunkBytes);
  std::string line;
  bool overlong = false;
  for (std::uint64_t offset = 0;;) {
    const std::size_t count = TRY(files.read_at(path, offset, chunk));
    if (count == 0) break;
    offset += count;
    std::string_view rest(chunk.data(), count);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      overlong = overlong || line.size() + part.size() > kLineLimitBytes;
      if (!overlong) line.append(part);
      if (end == std::string_view::npos) break;
      visit(overlong ? std::string_view("(too long)") : std::string_view(line), true);
      line.clear();
      overlong = false;
      rest.remove_prefix(end + 1);
    }
  }
  if (!line.empty() || overlong) visit(line, false);
  return {};
}

/// The last entry of each writer slot. A slot that was torn or never used is skipped: it says nothing.
Result<std::vector<LedgerEntry>> read_in_flight(const Path& ledger) {
  const Path path = in_flight_path(ledger);
  std::vector<LedgerEntry> entries;
  if (!exists(real_file_system(), path)) return entries;
  const std::string content = TRY(real_file_system().read(path, kSlotBytes * kMaxLedgerWriters));
  for (const std::string_view line : split(content, '\n')) {
    const std::size_t begin = line.find('{');
    if (begin == std::string_view::npos) continue;
    if (auto entry = parse_ledger_line(trim(line.substr(begin)))) entries.push_back(std::move(*entry));
  }
  return entries;
}

struct LedgerFile {
  Ledger ledger;
  std::unordered_map<std::int64_t, std::size_t> position;  ///< of an id among the entries
};

/// The ledger without the slots.
Result<LedgerFile> read_file(const Path& path) {
  LedgerFile file;
  std::vector<LedgerEntry>& entries = file.ledger.entries;
  TRY(each_line(path, [&](std::string_view line, bool whole) {
    if (trim(line).empty()) return;
    auto entry = parse_ledger_line(line);
    if (!entry || !whole) {
      ++file.ledger.damaged_lines;
      return;
    }
    const auto [found, fresh] = file.position.try_emplace(entry->id, entries.size());
    if (fresh) {
      entries.push_back(std::move(*entry));
    } else {
      entries[found->second] = std::move(*entry);
    }
  }));
  return file;
}

Status write_all(int descriptor, std::string_view content, const Path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write the ledger", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// What a killed run left between COMMIT and its answer becomes lines of the ledger.
Status take_over_in_flight(int descriptor, const Path& path) {
  const auto left = TRY(read_in_flight(path));
  if (left.empty()) return {};  // the usual case, which must not read a ledger of gigabytes
  const LedgerFile file = TRY(read_file(path));
  for (const LedgerEntry& entry : left) {
    if (!file.position.contains(entry.id)) TRY(write_all(descriptor, to_ledger_line(entry) + "\n", path));
  }
  return {};
}

}  // namespace

Result<Ledger> read_ledger(const Path& path) {
  // The slots first: what is acknowledged meanwhile then stands in the ledger, and the ledger wins.
  const auto in_flight = TRY(read_in_flight(path));
  LedgerFile file = TRY(read_file(path));
  for (const LedgerEntry& entry : in_flight) {
    if (!file.position.contains(entry.id)) file.ledger.entries.push_back(entry);
  }
  return std::move(file.ledger);
}

struct LedgerWriter::Impl {
  Path path;
  int ledger = -1, in_flight = -1;
  std::mutex mutex;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (ledger >= 0) ::close(ledger);
    if (in_flight >= 0) ::close(in_flight);
  }
};

LedgerWriter::LedgerWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LedgerWriter::LedgerWriter(LedgerWriter&&) noexcept = default;
LedgerWriter& LedgerWriter::operator=(LedgerWriter&&) noexcept = default;
LedgerWriter::~LedgerWriter() = default;

Result<LedgerWriter> LedgerWriter::open(const Path& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->ledger = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (impl->ledger < 0) return system_error("open the ledger", path, errno);
  if (::flock(impl->ledger, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::conflict,
                fmt::format("ledger '{}' is being written by another process", path.string()),
                "Two load generators need two ledgers: name another one with --ledger.");
  }
  struct stat info {};
  if (::fstat(impl->ledger, &info) != 0) return system_error("read the ledger", path, errno);
  char last = '\n';
  if (info.st_size > 0 && ::pread(impl->ledger, &last, 1, info.st_size - 1) != 1)
    return system_error("read the ledger", path, errno);
  if (last != '\n') TRY(write_all(impl->ledger, "\n", path));
  TRY(take_over_in_flight(impl->ledger, path));
  if (::fsync(impl->ledger) != 0) return system_error("sync the ledger", path, errno);

  const Path slots = in_flight_path(path);
  impl->in_flight = ::open(slots.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (impl->in_flight < 0) return system_error("open the ledger", slots, errno);
  return LedgerWriter(std::move(impl));
}

Status LedgerWriter::in_flight(const LedgerEntry& entry) {
  LedgerEntry doubtful = entry;
  doubtful.state = LedgerState::in_doubt;
  doubtful.problem = "the load generator ended before the answer came";
  std::string slot = to_ledger_line(doubtful);
  if (entry.writer < 0 || entry.writer >= kMaxLedgerWriters || slot.size() >= kSlotBytes) {
    return fail(ErrorKind::internal,
                fmt::format("ledger slot of writer {} does not fit: {}", entry.writer, slot));
  }
  slot.resize(kSlotBytes - 1, ' ');
  slot += '\n';
  const off_t offset = static_cast<off_t>(entry.writer) * static_cast<off_t>(kSlotBytes);
  const ssize_t written = ::pwrite(impl_->in_flight, slot.data(), slot.size(), offset);
  if (written < 0) return system_error("write the ledger", in_flight_path(impl_->path), errno);
  if (static_cast<std::size_t>(written) != slot.size()) {
    errno = ENOSPC;
    return system_error("write the ledger", in_flight_path(impl_->path), errno);
  }
  return {};
}

Status LedgerWriter::append(const LedgerEntry& entry) {
  const std::string line = to_ledger_line(entry) + "\n";
  const std::lock_guard lock(impl_->mutex);
  return write_all(impl_->ledger, line, impl_->path);
}

Status LedgerWriter::close() {
  if (::fsync(impl_->ledger) != 0) return system_error("sync the ledger", impl_->path, errno);
  const Path directory = impl_->path.has_parent_path() ? impl_->path.parent_path() : Path(".");
  TRY(real_file_system().remove(in_flight_path(impl_->path)));
  return real_file_system().sync_directory(directory);
}

namespace {

Result<DoubtEvidence> ask_primary(Connection& primary, const LedgerEntry& entry) {
  DoubtEvidence evidence;
  // In this order: a transaction that is over before the row is looked for cannot add the row afterwards.
  evidence.status = TRY(transaction_status(primary, entry.xid));
  evidence.row_present = TRY(load_row_present(primary, entry.id));
  if (evidence.status != TransactionStatus::committed || evidence.row_present == true) return evidence;
  if (!entry.gave_up_us || !entry.created_at) return evidence;
  const auto stamped = commit_timestamp(primary, entry.xid);
  if (!stamped && stamped.error().kind != ErrorKind::conflict) return tl::unexpected<Error>(stamped.error());
  if (!stamped || !*stamped) return evidence;
  // The insert came before COMMIT was sent: created_at plus the wait is an upper bound, give or take the
  // clocks.
  constexpr std::int64_t kSlackUs = 20'000;
  const std::int64_t last_us = entry.created_at->unix_us + (*entry.gave_up_us - entry.sent_us) + kSlackUs;
  evidence.stamped_in_time = **stamped >= *entry.created_at && (*stamped)->unix_us <= last_us;
  return evidence;
}

}  // namespace

Result<SettleReport> settle_ledger(Connection& primary, const Path& path) {
  LedgerWriter writer = TRY(LedgerWriter::open(path));
  const Ledger ledger = TRY(read_ledger(path));
  SettleReport report;
  for (LedgerEntry entry : ledger.entries) {
    if (entry.state != LedgerState::in_doubt || entry.settled) continue;
    ++report.in_doubt;
    entry.settled = settle(TRY(ask_primary(primary, entry)));
    if (!entry.settled) {
      ++report.undecided;
      continue;
    }
    ++(*entry.settled == Settlement::committed ? report.committed : report.aborted);
    TRY(writer.append(entry));
  }
  TRY(writer.close());
  return report;
}

}  // namespace walback
