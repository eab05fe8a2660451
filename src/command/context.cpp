#include <unistd.h>

#include "command/command.h"
#include "command/progress_bar.h"
#include "os/system.h"

namespace walback {

Result<Path> Context::config_path() const {
  return found_config ? *found_config : find_config(*files, config_option);
}

Result<Config> Context::config() const {
  return load_config(*files, TRY(config_path()));
}

void Context::answer(Json document, const std::string& text) {
  if (json) return output.document(std::move(document));
  output.text(text);
}

void Context::say(const std::string& text) {
  if (!json && !quiet) output.text(text);
}

std::unique_ptr<Progress> Context::progress() const {
  if (json || quiet) return make_silent_progress();
  return make_progress(STDERR_FILENO, *clock);
}

}  // namespace walback
