#include "base/error.h"

namespace walback {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::internal:
      return "internal";
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::config:
      return "config";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::unreachable:
      return "unreachable";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::foreign_system:
      return "foreign_system";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::disk_full:
      return "disk_full";
    case ErrorKind::interrupted:
      return "interrupted";
    case ErrorKind::mismatch:
      return "mismatch";
    case ErrorKind::findings:
      return "findings";
  }
  return "internal";
}

std::string_view meaning_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::internal:
      return "a defect in walback, or the system failed in a way nobody foresaw";
    case ErrorKind::usage:
      return "the command line makes no sense";
    case ErrorKind::config:
      return "walback.yaml makes no sense";
    case ErrorKind::not_found:
      return "the named thing, or the asked moment, is not there";
    case ErrorKind::unreachable:
      return "the server does not answer";
    case ErrorKind::conflict:
      return "somebody else holds it, or the place is taken";
    case ErrorKind::corrupt:
      return "bytes that should be valid are not";
    case ErrorKind::foreign_system:
      return "it belongs to another cluster";
    case ErrorKind::unavailable:
      return "not now; worth a retry";
    case ErrorKind::disk_full:
      return "no room left";
    case ErrorKind::interrupted:
      return "ended by a person or a signal";
    case ErrorKind::mismatch:
      return "the restored cluster is not what the plan promised";
    case ErrorKind::findings:
      return "the check ran and found something";
  }
  return "";
}

std::string render(const Error& error) {
  std::string text = "walback: " + error.message;
  if (!error.hint.empty()) text += "\nhint: " + error.hint;
  return text;
}

}  // namespace walback
