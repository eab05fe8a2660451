#include "lab/lab_state.h"

#include <fmt/format.h>

#include "os/process.h"

namespace walback {
namespace {

Json process_json(const LabProcess& process) {
  return Json{{"pid", process.pid}, {"start_ticks", process.start_ticks}};
}

Json server_json(const LabServer& server) {
  return Json{{"name", server.name},        {"data", server.data.string()},
              {"log", server.log.string()}, {"port", server.port},
              {"created", server.created},  {"process", process_json(server.process)}};
}

/// Members that must be there and of their type; the first that is not spoils the whole document.
class StateReader {
 public:
  template <class T>
  T get(const Json& json, const char* key) {
    const auto value = member<T>(json, key);
    if (!value && fault_.empty()) fault_ = key;
    return value.value_or(T{});
  }
  Path path(const Json& json, const char* key) { return get<std::string>(json, key); }
  const Json& object(const Json& json, const char* key) {
    static const Json kNothing = Json::object();
    const auto found = json.is_object() ? json.find(key) : json.end();
    if (json.is_object() && found != json.end() && found->is_object()) return *found;
    if (fault_.empty()) fault_ = key;
    return kNothing;
  }
  LabProcess process(const Json& json, const char* key) {
    const Json& value = object(json, key);
    return {static_cast<int>(get<std::int64_t>(value, "pid")), get<std::uint64_t>(value, "start_ticks")};
  }
  LabServer server(const Json& json, const char* key) {
    const Json& value = object(json, key);
    LabServer server;
    server.name = get<std::string>(value, "name");
    server.data = path(value, "data");
    server.log = path(value, "log");
    server.port = static_cast<std::uint16_t>(get<std::uint64_t>(value, "port"));
    server.created = get<bool>(value, "created");
    server.process = process(value, "process");
    return server;
  }
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  std::string fault_;
};

/// A conninfo value in quotes, as libpq reads it.
std::string conninfo_value(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace

bool is_running(const LabProcess& process) {
  return process.pid > 0 && process_start_ticks(process.pid) == process.start_ticks;
}

std::string LabState::conninfo(const LabServer& server) const {
  return fmt::format("host={} port={} user=postgres dbname=postgres",
                     conninfo_value(socket_directory.string()), server.port);
}

Path lab_file(const Path& directory) {
  return directory / "lab.json";
}

Json to_json(const LabState& state) {
  Json json{{"directory", state.directory.string()},
            {"socket_directory", state.socket_directory.string()},
            {"binaries", state.binaries.string()},
            {"executable", state.executable.string()},
            {"segment_size_mb", state.segment_size_mb},
            {"synchronous", state.synchronous},
            {"fsync", state.fsync},
            {"primary", server_json(state.primary)}};
  if (state.standby) json["standby"] = server_json(*state.standby);
  json["capturing"] = state.capturing;
  json["walback"] = process_json(state.walback);
  return json;
}

Result<LabState> parse_lab_state(const std::string& text, const std::string& what) {
  const Json json = TRY(parse_json(text, what));
  StateReader reader;
  LabState state;
  state.directory = reader.path(json, "directory");
  state.socket_directory = reader.path(json, "socket_directory");
  state.binaries = reader.path(json, "binaries");
  state.executable = reader.path(json, "executable");
  state.segment_size_mb = static_cast<unsigned>(reader.get<std::uint64_t>(json, "segment_size_mb"));
  state.synchronous = reader.get<bool>(json, "synchronous");
  state.fsync = reader.get<bool>(json, "fsync");
  state.primary = reader.server(json, "primary");
  if (json.is_object() && json.contains("standby")) state.standby = reader.server(json, "standby");
  state.capturing = reader.get<bool>(json, "capturing");
  state.walback = reader.process(json, "walback");
  if (reader.fault().empty()) return state;
  return fail(
      ErrorKind::corrupt, fmt::format("{}: '{}' is missing or of the wrong type", what, reader.fault()),
      "It was not written by walback, or was edited: stop the lab's processes by hand and remove it.");
}

Result<LabState> read_lab(const Path& directory) {
  const Path file = lab_file(directory);
  if (!exists(real_file_system(), file)) {
    return fail(ErrorKind::not_found, fmt::format("there is no lab in '{}'", directory.string()),
                fmt::format("Start one with: walback lab up --dir '{}'", directory.string()));
  }
  const std::string text = TRY(real_file_system().read(file));
  return parse_lab_state(text, fmt::format("'{}'", file.string()));
}

Status write_lab(const LabState& state) {
  return publish(real_file_system(), lab_file(state.directory), to_text(to_json(state)) + "\n");
}

}  // namespace walback
