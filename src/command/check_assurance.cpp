#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"
#include "command/command.h"

namespace walback {
namespace {

std::string age(const CheckInput& in, Timestamp then) {
  return render_duration_us(in.now.unix_us - then.unix_us);
}
bool is_older(const CheckInput& in, Timestamp then, std::int64_t bound_us) {
  return in.now.unix_us - then.unix_us > bound_us;
}

void check_verification(Checklist& list, const std::optional<VerificationRow>& last) {
  const std::string subject = "verification";
  if (!last) {
    list.add(Severity::note, subject, "never: nobody has read the archive since it was captured",
             list.walback("verify") + " (from a timer)");
  } else if (last->findings > 0) {
    list.add(Severity::wrong, subject,
             fmt::format("{} ago it found {} wrong", age(list.in, last->finished_at),
                         count_of(last->findings, "thing")),
             list.walback("verify") + " (names each, and what mends it)");
  } else if (is_older(list.in, last->finished_at, kLookIsOldUs)) {
    list.add(Severity::note, subject, fmt::format("the last one was {} ago", age(list.in, last->finished_at)),
             list.walback("verify") + " (from a timer)");
  } else if (is_older(list.in, last->oldest_look, kBytesAreOldUs)) {
    list.add(Severity::note, subject,
             fmt::format("some of the archive was last read {} ago", age(list.in, last->oldest_look)),
             list.walback("verify --all"));
  } else {
    list.good(subject, fmt::format("{} ago, nothing wrong", age(list.in, last->finished_at)));
  }
}

void check_drill(Checklist& list, const Assurance& assurance) {
  const std::string subject = "drill";
  if (!assurance.drill) {
    list.add(Severity::note, subject, "never: nobody knows how long a restore takes",
             list.walback("drill") + " (from a timer)");
    return;
  }
  const DrillRow& last = *assurance.drill;
  const Timestamp at = last.finished_at.value_or(last.started_at);
  if (last.state == DrillState::failed) {
    list.add(Severity::wrong, subject, fmt::format("{} ago it failed: {}", age(list.in, at), last.error),
             list.walback(fmt::format("drill --seed {} --keep-failed", last.seed)));
  } else if (is_older(list.in, at, kLookIsOldUs)) {
    list.add(Severity::note, subject, fmt::format("the last one was {} ago", age(list.in, at)),
             list.walback("drill") + " (from a timer)");
  } else {
    list.good(subject,
              fmt::format("{} ago, restored in {}", age(list.in, at), render_duration_us(last.rto_us)));
  }
}

}  // namespace

void check_assurance(Checklist& list) {
  if (!list.in.assurance) return;
  check_verification(list, list.in.assurance->verification);
  check_drill(list, *list.in.assurance);
}

}  // namespace walback
