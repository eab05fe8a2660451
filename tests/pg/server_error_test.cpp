#include "pg/server_error.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("server error: a verbose connect message gives its SQLSTATE and loses what nobody reads") {
  const ServerMessage said = parse_connect_message(
      "connection to server at \"10.0.0.1\", port 5432 failed: FATAL:  53300: sorry, too many clients "
      "already\n"
      "LOCATION:  InitProcess, proc.c:350\n");
  CHECK(said.sqlstate == "53300");
  CHECK(said.message ==
        "connection to server at \"10.0.0.1\", port 5432 failed: FATAL: sorry, too many clients already");
  CHECK(connect_error(said) ==
        Error{ErrorKind::unavailable, said.message,
              "Wait until a session ends, or raise max_connections (max_wal_senders for streaming)."});
}

TEST_CASE("server error: libpq's own lines become one, its question a hint") {
  const ServerMessage said = parse_connect_message(
      "connection to server at \"::1\", port 5432 failed: Connection refused\n"
      "\tIs the server running on that host and accepting TCP/IP connections?\n"
      "connection to server at \"127.0.0.1\", port 5432 failed: Connection refused\n"
      "\tIs the server running on that host and accepting TCP/IP connections?\n");
  CHECK(said.sqlstate.empty());
  CHECK(
      connect_error(said) ==
      Error{ErrorKind::unreachable,
            "connection to server at \"::1\", port 5432 failed: Connection refused; connection to server at "
            "\"127.0.0.1\", port 5432 failed: Connection refused",
            "Is the server running, and are host and port of the connection string the right ones?"});
}

TEST_CASE("server error: detail and hint of the server are kept apart") {
  const ServerMessage said = parse_connect_message(
      "FATAL:  57P03: the database system is not accepting connections\nDETAIL:  Hot standby mode "
      "is disabled.\nLOCATION:  x\n");
  CHECK(connect_error(said) ==
        Error{ErrorKind::unavailable,
              "FATAL: the database system is not accepting connections (Hot standby mode is disabled.)",
              "Wait until the server has finished starting, then try again."});
}

TEST_CASE("server error: nothing said is still an error") {
  CHECK(connect_error(parse_connect_message("\n")).message == "the connection failed without a word");
}

TEST_CASE("server error: the SQLSTATE decides the kind") {
  const auto kind = [](const char* sqlstate) { return statement_error({sqlstate, "x", "", ""}).kind; };
  CHECK(kind("28P01") == ErrorKind::config);
  CHECK(kind("28000") == ErrorKind::config);
  CHECK(kind("42501") == ErrorKind::config);
  CHECK(kind("3D000") == ErrorKind::config);
  CHECK(kind("57P03") == ErrorKind::unavailable);
  CHECK(kind("53300") == ErrorKind::unavailable);
  CHECK(kind("57014") == ErrorKind::unavailable);
  CHECK(kind("57P01") == ErrorKind::unreachable);
  CHECK(kind("57P02") == ErrorKind::unreachable);
  CHECK(kind("08006") == ErrorKind::unreachable);
  CHECK(kind("42P01") == ErrorKind::internal);
  CHECK(kind("") == ErrorKind::unreachable);
  // At the door even an unknown refusal means that we are not in.
  CHECK(connect_error({"XX000", "x", "", ""}).kind == ErrorKind::unreachable);
}

TEST_CASE("server error: the server's own hint is passed on where we know none") {
  CHECK(statement_error({"42883", "operator does not exist: text + text", "", "Add type casts."}) ==
        Error{ErrorKind::internal,
              "the server refused a statement with SQLSTATE 42883: operator does not exist: text + text",
              "Add type casts."});
}
