#pragma once
#include <string>
#include <string_view>

#include "base/error.h"

/// What the server or libpq said, as an Error. Pure, so that the texts are tested without a server.
namespace walback {

struct ServerMessage {
  std::string sqlstate;  ///< empty: libpq's own message, no server spoke
  std::string message, detail, hint;
};

/// From PQerrorMessage of a failed connect at PQERRORS_VERBOSE: only there does the text carry the SQLSTATE.
/// What goes for the eye alone (LOCATION, "Is the server running…") is dropped, several lines become one.
[[nodiscard]] ServerMessage parse_connect_message(std::string_view text);

[[nodiscard]] Error connect_error(const ServerMessage& said);
[[nodiscard]] Error statement_error(const ServerMessage& said);

}  // namespace walback
