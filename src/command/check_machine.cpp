#include <fmt/format.h>

#include <cstdlib>

#include "base/timestamp.h"
#include "command/checklist.h"

namespace walback {
namespace {

constexpr std::int64_t kClockToleranceUs = 2'000'000;

void client_program(Checklist& list, const ClientProgram& program) {
  const int major = list.in.server.major();
  if (!program.version) {
    list.add(Severity::wrong, program.name, "was not found on this host",
             fmt::format("apt install postgresql-{0} postgresql-client-{0}", major));
  } else if (program.version->major < major) {
    list.add(Severity::wrong, program.name,
             fmt::format("'{}' is of {}.{}, older than the primary's {}", program.path.string(),
                         program.version->major, program.version->minor, major),
             fmt::format("apt install postgresql-{0} postgresql-client-{0}", major));
  } else {
    list.good(program.name, fmt::format("{}.{}, '{}'", program.version->major, program.version->minor,
                                        program.path.string()));
  }
}

}  // namespace

void check_machine(Checklist& list) {
  if (!list.in.binaries) {
    list.add(Severity::wrong, "PostgreSQL programs",
             fmt::format("none of major {} on this host", list.in.server.major()),
             fmt::format("apt install postgresql-{}", list.in.server.major()));
  } else {
    list.good("PostgreSQL programs", list.in.binaries->directory.string());
  }
  for (const ClientProgram& program : list.in.programs) client_program(list, program);
  if (std::llabs(list.in.clock_difference_us) > kClockToleranceUs) {
    list.add(Severity::note, "clocks",
             fmt::format("the primary's clock is {} {} ours; times of restores are the primary's",
                         render_duration_us(std::llabs(list.in.clock_difference_us)),
                         list.in.clock_difference_us > 0 ? "ahead of" : "behind"),
             "run NTP on both machines");
  }
}

}  // namespace walback
