#include "capture/receivewal.h"

#include <algorithm>
#include <array>

#include "os/system.h"
#include "pg/connection.h"
#include "pg/conninfo.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

bool contains(std::string_view line, std::string_view part) {
  return line.find(part) != std::string_view::npos;
}

struct Pattern {
  std::string_view part;
  ReceivewalLine meaning;
};
// The first that fits wins. The texts are those of PostgreSQL 15 to 18.
constexpr std::array kPatterns = {
    Pattern{"No space left on device", ReceivewalLine::disk_full},
    Pattern{"Disk quota exceeded", ReceivewalLine::disk_full},
    Pattern{"has already been removed", ReceivewalLine::wal_removed},
    Pattern{"is not in this server's history", ReceivewalLine::not_in_history},
    Pattern{"is active for PID", ReceivewalLine::slot_active},
    Pattern{"should be 0 or", ReceivewalLine::wrong_partial_size},
    Pattern{"password authentication failed", ReceivewalLine::not_permitted},
    Pattern{"no password supplied", ReceivewalLine::not_permitted},
    Pattern{"authentication failed", ReceivewalLine::not_permitted},
    Pattern{"no pg_hba.conf entry", ReceivewalLine::not_permitted},
    Pattern{"permission denied", ReceivewalLine::not_permitted},
    Pattern{"must be superuser or replication role", ReceivewalLine::not_permitted},
    Pattern{"the database system is", ReceivewalLine::unreachable},
    Pattern{"connection to server", ReceivewalLine::unreachable},
    Pattern{"could not connect to server", ReceivewalLine::unreachable},
    Pattern{"could not translate host name", ReceivewalLine::unreachable},
    Pattern{"server closed the connection", ReceivewalLine::unreachable},
    Pattern{"error: disconnected", ReceivewalLine::disconnected},
};

constexpr std::chrono::milliseconds kStillGrowing{300};
constexpr std::uint64_t kPaddingChunk = 4U << 20;

Status append_zeros(FileSystem& files, const Path& path, std::uint64_t bytes) {
  const std::string zeros(std::min(bytes, kPaddingChunk), '\0');
  while (bytes > 0) {
    const auto chunk = std::min<std::uint64_t>(bytes, zeros.size());
    TRY(files.append_durably(path, std::string_view(zeros).substr(0, chunk)));
    bytes -= chunk;
  }
  return {};
}

}  // namespace

ReceivewalLine classify_receivewal_line(std::string_view line) {
  const bool failure = contains(line, "error:") || contains(line, "fatal:") || contains(line, "ERROR:") ||
                       contains(line, "FATAL:");
  if (!failure) return ReceivewalLine::information;
  for (const auto& pattern : kPatterns) {
    if (contains(line, pattern.part)) return pattern.meaning;
  }
  if (contains(line, "replication slot") && contains(line, "does not exist"))
    return ReceivewalLine::slot_missing;
  return ReceivewalLine::other_error;
}

Command receivewal_command(const ReceivewalOptions& options) {
  Command command;
  command.program = options.program;
  command.arguments = {"--directory", options.directory.string(), "--slot", options.slot};
  if (options.synchronous) command.arguments.emplace_back("--synchronous");
  for (const auto* argument :
       {"--no-loop", "--status-interval=1", "--verbose", "--no-password", "--dbname"}) {
    command.arguments.emplace_back(argument);
  }
  command.arguments.push_back(options.conninfo);
  return command;
}

Result<std::string> make_receiver_conninfo(const std::string& conninfo, bool english) {
  Keywords ours{{"application_name", std::string(kReceiverName)},
                {"connect_timeout", "10"},
                {"keepalives", "1"},
                {"keepalives_idle", "10"},
                {"keepalives_interval", "5"},
                {"keepalives_count", "3"},
                {"tcp_user_timeout", "30000"}};
  if (english) {
    const std::string theirs = keyword(TRY(parse_conninfo(conninfo, "primary.conninfo")), "options");
    ours.emplace_back("options", theirs.empty() ? "-c lc_messages=C" : theirs + " -c lc_messages=C");
  }
  return with_keywords(conninfo, ours);
}

Result<std::vector<std::string>> complete_padding(FileSystem& files, const Path& epoch, SegmentSize size,
                                                  std::stop_token stop) {
  std::vector<std::string> completed;
  for (const auto& entry : TRY(files.list(epoch))) {
    const auto name = parse_wal_file_name(entry.name, size);
    if (entry.kind != FileKind::regular || !name || name->kind != WalFileKind::partial) continue;
    const auto path = epoch / entry.name;
    const auto before = TRY(files.stat(path)).size_bytes;
    if (before == 0 || before >= size.bytes()) continue;
    // A predecessor that has not died yet may be padding it this moment: what still grows is left alone.
    if (!sleep_for(stop, kStillGrowing)) break;
    if (TRY(files.stat(path)).size_bytes != before) continue;
    TRY(append_zeros(files, path, size.bytes() - before));
    completed.push_back(entry.name);
  }
  return completed;
}

}  // namespace walback
