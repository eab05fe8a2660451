#include <unistd.h>

#include <cstdio>
#include <exception>

#include "command/command.h"
#include "os/crash_point.h"
#include "os/system.h"
#include "version.h"

namespace {

using namespace walback;

/// The one place where an Error becomes an exit code.
int finish(Context& context, Status status) {
  std::optional<Json> document;
  if (!status && context.json) {
    const Error& error = status.error();
    const Json plain{
        {"error", {{"kind", name_of(error.kind)}, {"message", error.message}, {"hint", error.hint}}}};
    document = context.error_document.value_or(plain);
  }
  if (const Status written = context.output.finish(document); status && !written) status = written;
  if (status) return 0;
  std::fprintf(stderr, "%s\n", render(status.error()).c_str());
  return exit_code(status.error().kind);
}

Status run(int argc, char** argv, Context& context) {
  TRY(arm_crash_points());
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
