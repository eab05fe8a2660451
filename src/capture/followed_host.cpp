#include "capture/followed_host.h"

#include <utility>

namespace walback {

bool FollowedHost::take(const PrimaryView& view) {
  name_refused(view.refused);
  may_set_lc_messages_ = view.may_set_lc_messages;
  if (view.host == host_ && view.history == history_) return false;
  const bool first = host_.conninfo.empty();
  host_ = view.host;
  history_ = view.history;
  log_.write(first ? LogLevel::info : LogLevel::warn, "capture",
             first ? "primary_followed" : "primary_changed",
             {{"host", host_.name},
              {key::timeline, std::to_string(history_.timeline.value)},
              {"history", path_text(history_)}});
  return true;
}

void FollowedHost::name_refused(const std::vector<Error>& errors) {
  std::set<std::string> refused;
  for (const Error& error : errors) {
    refused.insert(error.message);
    if (!refused_.contains(error.message))
      log_.warn("capture", "host_refused", {{key::error, error.message}, {key::hint, error.hint}});
  }
  refused_ = std::move(refused);
}

}  // namespace walback
