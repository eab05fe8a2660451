#pragma once
#include <sys/types.h>

#include "base/result.h"
#include "os/descriptor.h"
#include "os/process.h"

namespace walback {

/// Both ends CLOEXEC and above 2, so that dup2 onto 0, 1 and 2 in a child can never meet them.
struct Pipe {
  Descriptor read, write;
};
[[nodiscard]] Result<Pipe> make_pipe();
[[nodiscard]] Descriptor above_standard(Descriptor descriptor);

/// How a child is started: what becomes its descriptors 1 and 2 (0 is /dev/null), and whether it is ours
/// (dies with the thread that started it) or nobody's (own session, init reaps it).
struct Launch {
  int out = -1;
  int err = -1;
  bool detached = false;
};

/// The only place that starts programs. Returns the pid: of a child that the caller must reap, or of the
/// detached one. Reports a failed exec, and leaves no zombie then. For os/ alone.
[[nodiscard]] Result<pid_t> launch(const Command& command, const Launch& how);

}  // namespace walback
