#include <unistd.h>

#include <cstdio>

#include "command/command.h"
#include "command/progress_bar.h"
#include "os/system.h"

namespace walback {

Result<Path> Context::config_path() const {
  return find_config(*files, config_option);
}

Result<Config> Context::config() const {
  return load_config(*files, TRY(config_path()));
}

void Context::answer(const Json& document, const std::string& text) const {
  const std::string& shown = json ? to_text(document) : text;
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  if (shown.empty() || shown.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
}

void Context::say(const std::string& text) const {
  if (json || quiet) return;
  std::fprintf(stdout, "%s\n", text.c_str());
  std::fflush(stdout);
}

std::unique_ptr<Progress> Context::progress() const {
  if (json || quiet) return make_silent_progress();
  return make_progress(STDERR_FILENO, *clock);
}

}  // namespace walback
