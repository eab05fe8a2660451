#include "capture/receivewal.h"
#include "command/checklist.h"

namespace walback {
void check_synchronous_mode(Checklist& list) {
  const std::string names = list.setting("synchronous_standby_names");
  const bool waits_for_us =
      names.find(kCaptureApplicationName) != std::string::npos || names.find('*') != std::string::npos;
  if (!waits_for_us) return;
  if (list.setting("synchronous_commit") == "remote_apply") {
    list.add(Severity::wrong, "synchronous_commit",
             "remote_apply: a receiver never applies, so every commit that waits for it waits for ever",
             list.psql({"alter system set synchronous_commit = on", "select pg_reload_conf()"}));
  }
  if (!list.in.config.capture.synchronous) {
    list.add(Severity::wrong, "capture.synchronous",
             "false, and the primary waits for the receiver: commits wait for whole segments",
             "set `capture: {synchronous: true}` in walback.yaml, then restart " + list.walback("run"));
  }
}

}  // namespace walback
