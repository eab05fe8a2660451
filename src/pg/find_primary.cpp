#include "pg/find_primary.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "pg/conninfo.h"
#include "pg/server.h"

namespace walback {
namespace {

std::string name_of_host(const Keywords& keywords) {
  std::string host = keyword(keywords, "host");
  if (host.empty()) host = keyword(keywords, "hostaddr");
  if (host.empty()) host = "the default host";
  const std::string port = keyword(keywords, "port");
  return host + ":" + (port.empty() ? "5432" : port);
}

Result<TimelineHistory> history_of_server(const std::string& conninfo, TimelineId timeline,
                                          ConnectionOptions options) {
  if (timeline.value == 1) return TimelineHistory{timeline, {}};
  options.replication = true;
  Connection connection = TRY(Connection::open(conninfo, options));
  return parse_timeline_history(timeline, TRY(timeline_history_file(connection, timeline)));
}

Result<SeenServer> see_server(const std::string& conninfo, const ConnectionOptions& options) {
  Connection connection = TRY(Connection::open(conninfo, options));
  const ServerIdentity identity = TRY(server_identity(connection));
  SeenServer seen{identity.system_identifier, identity.in_recovery, {identity.timeline, {}}, {}};
  seen.started_at = TRY(server_start_time(connection));
  if (seen.in_recovery) return seen;
  seen.history = TRY(history_of_server(conninfo, identity.timeline, options));
  seen.flush_lsn = TRY(wal_positions(connection)).flush;
  return seen;
}

}  // namespace

Result<std::vector<HostConninfo>> hosts_of(const std::string& conninfo) {
  Keywords keywords = TRY(parse_conninfo(conninfo, "primary.conninfo"));
  std::erase_if(keywords, [](const auto& pair) {
    return pair.first == "target_session_attrs" || pair.first == "load_balance_hosts";
  });
  std::vector<HostConninfo> hosts;
  for (const Keywords& one : connection_attempts(keywords)) {
    HostConninfo host{render_conninfo(one), name_of_host(one)};
    if (host.name.find(',') != std::string::npos) {
      return fail(
          ErrorKind::config,
          fmt::format("primary.conninfo: hosts, hostaddr and ports do not fit together in '{}'", host.name),
          "Write as many ports as hosts, or one for all: \"host=db1,db2 port=5432,5433\".");
    }
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(std::move(host));
  }
  return hosts;
}

std::vector<HostSight> look_at_hosts(const std::vector<HostConninfo>& hosts,
                                     const ConnectionOptions& options) {
  std::vector<std::future<Result<SeenServer>>> looks;
  for (const HostConninfo& host : hosts)
    looks.push_back(
        std::async(std::launch::async, [&host, &options] { return see_server(host.conninfo, options); }));
  std::vector<HostSight> sights;
  for (std::size_t i = 0; i < hosts.size(); ++i) sights.push_back({hosts[i], looks[i].get()});
  return sights;
}

Result<PrimaryChoice> find_primary(const std::string& conninfo, const KnownCluster& known,
                                   const ConnectionOptions& options) {
  return choose_primary(look_at_hosts(TRY(hosts_of(conninfo)), options), known);
}

Result<Connection> open_primary(const std::string& conninfo, const KnownCluster& known,
                                const ConnectionOptions& options) {
  return Connection::open(TRY(find_primary(conninfo, known, options)).host.conninfo, options);
}

}  // namespace walback
