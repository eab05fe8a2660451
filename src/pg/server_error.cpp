#include "pg/server_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/text.h"

namespace walback {
namespace {

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isdigit(c) != 0 || (c >= 'A' && c <= 'Z');
         });
}

/// "…FATAL:  28000: no pg_hba.conf entry…" loses its "28000: ", which is returned.
std::string take_sqlstate(std::string& line) {
  constexpr std::string_view mark = ":  ";
  for (auto at = line.find(mark); at != std::string::npos; at = line.find(mark, at + 1)) {
    const auto begin = at + mark.size();
    if (line.size() > begin + 6 && line.compare(begin + 5, 2, ": ") == 0 &&
        is_sqlstate(std::string_view(line).substr(begin, 5))) {
      std::string state = line.substr(begin, 5);
      line.erase(at + 2, 8);
      return state;
    }
  }
  return {};
}

ErrorKind kind_of_sqlstate(std::string_view state) {
  if (state.starts_with("28") || state == "42501" || state == "3D000") return ErrorKind::config;
  if (state == "57P03" || state == "53300" || state == "57014" || state == "55P03" || state == "40001" ||
      state == "40P01") {
    return ErrorKind::unavailable;
  }
  if (state.starts_with("08") || state == "57P01" || state == "57P02" || state == "57P05") {
    return ErrorKind::unreachable;
  }
  return ErrorKind::internal;
}

std::string hint_of(const ServerMessage& said) {
  const std::string& state = said.sqlstate;
  const auto says = [&](std::string_view words) { return said.message.find(words) != std::string::npos; };
  if (state == "28P01" || says("no password supplied")) {
    return "Put host:port:database:user:password into ~/.pgpass (mode 0600) of the user that runs walback; a "
           "replication connection looks for the database name \"replication\".";
  }
  if (state == "28000" && says("pg_hba.conf")) {
    return "Add a line for this user and address to the server's pg_hba.conf (streaming WAL needs one for "
           "the "
           "database \"replication\") and reload it.";
  }
  if (state == "28000") {
    return "Check that the role exists, may log in, and fits the method that pg_hba.conf asks of it.";
  }
  if (state == "3D000") return "Name a database that exists, for example dbname=postgres.";
  if (state == "42501") {
    return "Grant the role what it lacks; \"walback check\" lists what walback needs.";
  }
  if (state == "53300") {
    return "Wait until a session ends, or raise max_connections (max_wal_senders for streaming).";
  }
  if (state == "57P03") return "Wait until the server has finished starting, then try again.";
  if (state == "57014") return "The server was too slow or somebody cancelled the statement: try again.";
  return said.hint;
}

std::string words_of(const ServerMessage& said) {
  return said.detail.empty() ? said.message : fmt::format("{} ({})", said.message, said.detail);
}

}  // namespace

ServerMessage parse_connect_message(std::string_view text) {
  ServerMessage said;
  std::vector<std::string> lines;
  for (const std::string_view raw : split(text, '\n')) {
    if (raw.starts_with('\t') || raw.starts_with("LOCATION:")) continue;
    std::string line(trim(raw));
    if (line.empty()) continue;
    if (line.starts_with("DETAIL:  ")) {
      said.detail = line.substr(9);
    } else if (line.starts_with("HINT:  ")) {
      said.hint = line.substr(7);
    } else {
      if (const std::string state = take_sqlstate(line); !state.empty()) said.sqlstate = state;
      lines.push_back(std::move(line));
    }
  }
  said.message = join(lines, "; ");
  if (said.message.empty()) said.message = "the connection failed without a word";
  return said;
}

Error connect_error(const ServerMessage& said) {
  if (said.sqlstate.empty() && said.message.find("no password supplied") == std::string::npos) {
    return {ErrorKind::unreachable, words_of(said),
            "Is the server running, and are host and port of the connection string the right ones?"};
  }
  const ErrorKind kind = said.sqlstate.empty() ? ErrorKind::config : kind_of_sqlstate(said.sqlstate);
  return {kind == ErrorKind::internal ? ErrorKind::unreachable : kind, words_of(said), hint_of(said)};
}

Error statement_error(const ServerMessage& said) {
  if (said.sqlstate.empty()) {
    return {ErrorKind::unreachable, fmt::format("the connection to the server was lost: {}", words_of(said)),
            "Is the server still running? walback tries again by itself where it can."};
  }
  return {kind_of_sqlstate(said.sqlstate),
          fmt::format("the server refused a statement with SQLSTATE {}: {}", said.sqlstate, words_of(said)),
          hint_of(said)};
}

}  // namespace walback
