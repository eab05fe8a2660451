#include <unistd.h>

#include <cstdio>
#include <exception>

#include "command/command.h"
#include "os/system.h"
#include "version.h"

namespace {

using namespace walback;

/// The one place where an Error becomes an exit code.
int finish(const Context& context, const Status& status) {
  if (status) return 0;
  const Error& error = status.error();
  if (context.json) {
    const Json plain{
        {"error", {{"kind", name_of(error.kind)}, {"message", error.message}, {"hint", error.hint}}}};
    std::printf("%s\n", to_text(context.error_document.value_or(plain)).c_str());
  }
  std::fprintf(stderr, "%s\n", render(error).c_str());
  return exit_code(error.kind);
}

Status run(int argc, char** argv, Context& context) {
  const StopSignals signals;
  context.stop = signals.token();
  context.clock = &real_clock();
  context.files = &real_file_system();
  context.processes = &real_processes();
  return run_command_line(argc, argv, context, "walback " WALBACK_VERSION " (" WALBACK_COMMIT ")");
}

}  // namespace

int main(int argc, char** argv) {
  Context context;
  try {
    return finish(context, run(argc, argv, context));
  } catch (const std::exception& defect) {
    return finish(context,
                  fail(ErrorKind::internal, std::string("unexpected: ") + defect.what(),
                       "This is a defect in walback; please report it with the command line and this text."));
  }
}
