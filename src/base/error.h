#pragma once
#include <string>
#include <string_view>

namespace walback {

/// Why something did not happen. A kind exists only where someone reacts to it differently, and its number is
/// the exit code of the program: all below 126, because PostgreSQL reads 126 and above from a restore_command
/// as "stop recovery". The numbers are a contract; never reuse one.
enum class ErrorKind {
  internal = 1,        ///< a bug in walback, or a system call that cannot fail did
  usage = 2,           ///< the command line makes no sense
  config = 3,          ///< walback.yaml makes no sense
  not_found = 4,       ///< the named thing, or the asked moment, is not there
  unreachable = 5,     ///< the server does not answer
  conflict = 6,        ///< somebody else holds it, or the place is taken
  corrupt = 7,         ///< bytes that should be valid are not
  foreign_system = 8,  ///< it belongs to another cluster (system identifier)
  unavailable = 9,     ///< not now; the one kind that is worth a retry
  disk_full = 10,      ///< no room left
  interrupted = 11,    ///< a person or a signal ended it
  mismatch = 12,       ///< a restore reached something else than its plan
  findings = 13,       ///< the command ran well, and what it found is not
};

/// Message: lower case, no full stop; which thing, what was found, what was expected.
/// Hint: empty, or a sentence that says what a tired person does next.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string hint;

  bool operator==(const Error&) const = default;
};

/// The kind's name as it stands in JSON and in `--help`, e.g. "not_found".
[[nodiscard]] std::string_view name_of(ErrorKind kind);

/// One short line about the kind for the list of exit codes in `--help`.
[[nodiscard]] std::string_view meaning_of(ErrorKind kind);

[[nodiscard]] constexpr int exit_code(ErrorKind kind) {
  return static_cast<int>(kind);
}

/// The error as a person reads it: "walback: <message>" and, where there is one, a second line "hint:
/// <hint>".
[[nodiscard]] std::string render(const Error& error);

}  // namespace walback
