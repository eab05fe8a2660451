#include "lab/failover.h"

#include <fmt/format.h>

#include "lab/lab_processes.h"
#include "lab/lab_server.h"
#include "os/system.h"
#include "pg/server.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kPoll{20};
constexpr std::int64_t kPatienceUs = 60'000'000;

Status wait_for(const std::string& what, const std::function<Result<bool>()>& reached) {
  const std::int64_t deadline_us = real_clock().monotonic_us() + kPatienceUs;
  while (!TRY(reached())) {
    if (real_clock().monotonic_us() > deadline_us)
      return fail(ErrorKind::unavailable, what + ": not within 60 s");
    sleep_for({}, kPoll);
  }
  return {};
}

LabWork work_on(LabState& state, const Binaries& binaries) {
  return {state, binaries, [&state] { return write_lab(state); }, {}};
}

}  // namespace

Status promote(const LabState& state, const LabServer& standby) {
  Connection connection = TRY(Connection::open(state.conninfo(standby)));
  TRY(connection.execute("SELECT pg_promote(false)"));
  return wait_for(standby.name + " was promoted",
                  [&]() -> Result<bool> { return !TRY(server_identity(connection)).in_recovery; });
}

Status cut_off(const LabState& state, const LabServer& standby) {
  Connection connection = TRY(Connection::open(state.conninfo(standby)));
  TRY(connection.execute("ALTER SYSTEM SET primary_conninfo = ''"));
  TRY(connection.execute("SELECT pg_reload_conf()"));
  return wait_for(standby.name + " was cut off", [&]() -> Result<bool> {
    return TRY(connection.query("SELECT FROM pg_stat_wal_receiver")).count() == 0;
  });
}

Status start_again(LabState& state, LabServer& server) {
  const Binaries binaries = TRY(find_binaries(state.binaries));
  return start_lab_server(work_on(state, binaries), server, false);
}

Status rebuild_as_standby(LabState& state, LabServer& server, const LabServer& primary) {
  const Binaries binaries = TRY(find_binaries(state.binaries));
  const LabWork work = work_on(state, binaries);
  TRY(stop_server(server.data));
  TRY(create_standby_of(work, server, primary));
  return start_lab_server(work, server, false);
}

}  // namespace walback
