#pragma once
#include "command/command.h"

/// One function a command; each stands in the file of its name.
namespace walback {

[[nodiscard]] CommandSpec init_command();
[[nodiscard]] CommandSpec check_command();
[[nodiscard]] CommandSpec capture_command();
[[nodiscard]] CommandSpec manage_command();
[[nodiscard]] CommandSpec run_services_command();
[[nodiscard]] CommandSpec status_command();
[[nodiscard]] CommandSpec list_command();
[[nodiscard]] CommandSpec commits_command();
[[nodiscard]] CommandSpec backup_command();
[[nodiscard]] CommandSpec plan_command();
[[nodiscard]] CommandSpec restore_command_spec();
[[nodiscard]] CommandSpec clusters_command();
[[nodiscard]] CommandSpec sync_command();
[[nodiscard]] CommandSpec verify_command();
[[nodiscard]] CommandSpec drill_command();
[[nodiscard]] CommandSpec expire_command();
[[nodiscard]] CommandSpec reindex_command();
[[nodiscard]] CommandSpec load_command();
[[nodiscard]] CommandSpec lab_command();
[[nodiscard]] CommandSpec man_command();
[[nodiscard]] CommandSpec completion_command();

}  // namespace walback
