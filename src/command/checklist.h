#pragma once
#include "command/check_findings.h"

/// What the parts of check_findings share; each part is one topic in a file of its own.
namespace walback {

/// What was asked, what was found in it so far, and how a command that mends is written.
struct Checklist {
  const CheckInput& in;
  std::vector<Finding> found;

  void add(Severity severity, std::string subject, std::string text, std::string mend = {});
  void good(std::string subject, std::string text);

  /// Ready for a shell. Each statement in a -c of its own: ALTER SYSTEM cannot be one of several.
  [[nodiscard]] static std::string psql_on(const std::string& conninfo,
                                           const std::vector<std::string>& statements);
  [[nodiscard]] std::string psql(const std::vector<std::string>& statements) const;
  [[nodiscard]] std::string walback(const std::string& command) const;

  /// As the server says it; empty for a setting that it does not have.
  [[nodiscard]] std::string setting(const std::string& name) const;
};

/// An SQL identifier inside double quotes of a shell: quoted only where it needs quotes at all.
[[nodiscard]] std::string sql_name(const std::string& name);

void check_server(Checklist& list);
void check_slots(Checklist& list);
void check_standbys(Checklist& list);
void check_synchronous_mode(Checklist& list);
void check_tablespaces(Checklist& list);
void check_mirror(Checklist& list);
void check_gaps(Checklist& list);
void check_services(Checklist& list);
void check_backups(Checklist& list);
void check_assurance(Checklist& list);
void check_machine(Checklist& list);
void check_disk(Checklist& list);

}  // namespace walback
