#include "pg/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/text.h"
#include "pg/conninfo.h"
#include "pg/rows.h"
#include "pg/server_error.h"

namespace walback {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

/// The server ends a statement by itself at its time-out; after this much more it is taken for gone.
constexpr milliseconds kAnswerGrace{5'000};
/// Without a statement time-out: nothing that walback asks for takes longer.
constexpr milliseconds kLongestAnswer = std::chrono::hours(24);

/// False: the deadline passed.
bool wait_for_socket(int socket, short events, SteadyTime deadline) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd watched{socket, events, 0};
    const int ready = poll(&watched, 1, static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
  }
}

std::string seconds(milliseconds duration) {
  return render_duration_us(duration.count() * 1000);
}

std::string server_options(const ConnectionOptions& options) {
  std::string text =
      fmt::format("-c synchronous_commit={}", options.synchronous_commit_off ? "off" : "local");
  if (options.statement_timeout.count() > 0) {
    text += fmt::format(" -c statement_timeout={}", options.statement_timeout.count());
  }
  return text;
}

void add_defaults(Keywords& keywords, const ConnectionOptions& options) {
  const auto add = [&](const char* name, const std::string& value) {
    if (keyword(keywords, name).empty()) set_keyword(keywords, name, value);
  };
  add("fallback_application_name", options.application_name);
  add("keepalives", "1");
  add("keepalives_idle", "10");
  add("keepalives_interval", "5");
  add("keepalives_count", "3");
  add("tcp_user_timeout", "20000");
  add("client_encoding", "UTF8");
  if (options.replication) {
    set_keyword(keywords, "replication", "true");
    return;
  }
  // The last -c of a name wins, so the conninfo's own options come second.
  const std::string theirs = keyword(keywords, "options");
  set_keyword(keywords, "options",
              theirs.empty() ? server_options(options) : server_options(options) + " " + theirs);
}

milliseconds connect_bound(const Keywords& keywords, const ConnectionOptions& options) {
  const auto said = parse_decimal(keyword(keywords, "connect_timeout"));
  if (!said || *said == 0 || *said > 3600) return options.connect_timeout;
  return std::chrono::seconds(*said);
}

ServerMessage message_of(const PGresult* result) {
  const auto part = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  ServerMessage said{part(PG_DIAG_SQLSTATE), part(PG_DIAG_MESSAGE_PRIMARY), part(PG_DIAG_MESSAGE_DETAIL),
                     part(PG_DIAG_MESSAGE_HINT)};
  if (said.message.empty()) said.message = parse_connect_message(PQresultErrorMessage(result)).message;
  return said;
}

bool says_commit(const std::string& sql) {
  std::string word;
  for (const char c : trim(sql).substr(0, 6)) word += static_cast<char>(std::toupper(c));
  return word == "COMMIT" || word == "END" || word == "END;";
}

}  // namespace

struct Connection::Impl {
  PGconn* session = nullptr;
  ConnectionOptions options;
  std::vector<Notice> notices;
  std::string sqlstate;
  bool over = false;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { PQfinish(session); }

  Status connect(const Keywords& keywords);
  Status send(const std::string& sql, const std::vector<std::string>& parameters, SteadyTime deadline);
  Result<std::shared_ptr<const Rows::Impl>> receive(SteadyTime deadline);
  Error lost(std::string message) const;
  Error silent() const;
  std::string where() const;
};

namespace {

void keep_warning(void* target, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "WARNING") return;
  const ServerMessage said = message_of(notice);
  static_cast<std::vector<Connection::Notice>*>(target)->push_back({said.sqlstate, said.message});
}

}  // namespace

std::string Connection::Impl::where() const {
  const char* host = PQhost(session);
  const char* port = PQport(session);
  return fmt::format("server at \"{}\", port {}", host == nullptr ? "" : host, port == nullptr ? "" : port);
}

Status Connection::Impl::connect(const Keywords& keywords) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : keywords) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  session = PQconnectStartParams(names.data(), values.data(), 0);
  if (session == nullptr) return fail(ErrorKind::internal, "libpq has no memory for a connection");
  PQsetErrorVerbosity(session, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(session, keep_warning, &notices);

  const milliseconds bound = connect_bound(keywords, options);
  const SteadyTime deadline = std::chrono::steady_clock::now() + bound;
  auto wanted = PQstatus(session) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (wanted == PGRES_POLLING_READING || wanted == PGRES_POLLING_WRITING) {
    if (!wait_for_socket(PQsocket(session), wanted == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, deadline)) {
      return fail(ErrorKind::unreachable,
                  fmt::format("connection to {} was not answered within {}", where(), seconds(bound)),
                  "Is the server paused or overloaded, or does a firewall drop the packets?");
    }
    wanted = PQconnectPoll(session);
  }
  if (wanted == PGRES_POLLING_FAILED) {
    return tl::unexpected<Error>(connect_error(parse_connect_message(PQerrorMessage(session))));
  }
  if (PQsetnonblocking(session, 1) != 0) return tl::unexpected<Error>(lost(PQerrorMessage(session)));
  notices.clear();
  return {};
}

Error Connection::Impl::lost(std::string message) const {
  return statement_error({"", parse_connect_message(message).message, "", ""});
}

Error Connection::Impl::silent() const {
  const milliseconds bound =
      options.statement_timeout.count() > 0 ? options.statement_timeout + kAnswerGrace : kLongestAnswer;
  return {ErrorKind::unreachable,
          fmt::format("{} did not answer a statement within {}", where(), seconds(bound)),
          "Is the server paused or overloaded, or is the network half open?"};
}

Status Connection::Impl::send(const std::string& sql, const std::vector<std::string>& parameters,
                              SteadyTime deadline) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  // The simple protocol takes several statements, and is the only one that a replication connection knows.
  const int sent = parameters.empty()
                       ? PQsendQuery(session, sql.c_str())
                       : PQsendQueryParams(session, sql.c_str(), static_cast<int>(values.size()), nullptr,
                                           values.data(), nullptr, nullptr, 0);
  if (sent != 1) {
    over = true;
    return tl::unexpected<Error>(lost(PQerrorMessage(session)));
  }
  while (true) {
    const int left = PQflush(session);
    if (left <= 0) return {};  // on failure receive() tells what the server said before it hung up
    if (!wait_for_socket(PQsocket(session), POLLIN | POLLOUT, deadline)) {
      over = true;
      return tl::unexpected<Error>(silent());
    }
    if (PQconsumeInput(session) == 0) return {};
  }
}

/// The last result, or the first error, with everything read up to the end of the statement.
Result<std::shared_ptr<const Rows::Impl>> Connection::Impl::receive(SteadyTime deadline) {
  std::shared_ptr<const Rows::Impl> last;
  std::optional<Error> error;
  while (true) {
    while (PQisBusy(session) != 0) {
      if (!wait_for_socket(PQsocket(session), POLLIN, deadline)) {
        over = true;
        return tl::unexpected<Error>(silent());
      }
      if (PQconsumeInput(session) == 0) break;  // PQgetResult makes a result of it
    }
    PGresult* result = PQgetResult(session);
    if (result == nullptr) break;
    last = std::make_shared<const Rows::Impl>(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) continue;
    if (status != PGRES_FATAL_ERROR) {
      over = true;
      return fail(ErrorKind::internal, "the server began a COPY, which walback's sessions do not speak");
    }
    if (error) continue;
    const ServerMessage said = message_of(result);
    sqlstate = said.sqlstate;
    error = statement_error(said);
  }
  if (PQstatus(session) == CONNECTION_BAD) over = true;
  if (error) return tl::unexpected<Error>(*error);
  if (!last) return tl::unexpected<Error>(lost(PQerrorMessage(session)));
  return last;
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const std::string& conninfo, const ConnectionOptions& options) {
  Keywords keywords = TRY(parse_conninfo(conninfo, "the connection string"));
  add_defaults(keywords, options);
  std::optional<Error> refused;
  for (const Keywords& attempt : connection_attempts(keywords)) {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    Status connected = impl->connect(attempt);
    if (connected) return Connection(std::move(impl));
    Error& error = connected.error();
    if (!refused) {
      refused = std::move(error);
      continue;
    }
    // A server that answered says more than one that did not.
    const bool worthier = refused->kind == ErrorKind::unreachable && error.kind != ErrorKind::unreachable;
    refused->message += "; " + error.message;
    if (worthier) {
      refused->kind = error.kind;
      refused->hint = error.hint;
    }
  }
  return tl::unexpected<Error>(*refused);
}

Result<Rows> Connection::query(const std::string& sql, const std::vector<std::string>& parameters) {
  impl_->notices.clear();
  impl_->sqlstate.clear();
  if (!alive()) {
    return fail(ErrorKind::unreachable, fmt::format("the session with {} is over", impl_->where()),
                "Open a new connection.");
  }
  const milliseconds timeout = impl_->options.statement_timeout;
  const SteadyTime deadline =
      std::chrono::steady_clock::now() + (timeout.count() > 0 ? timeout + kAnswerGrace : kLongestAnswer);
  TRY(impl_->send(sql, parameters, deadline));
  std::shared_ptr<const Rows::Impl> rows = TRY(impl_->receive(deadline));
  if (std::string_view(PQcmdStatus(rows->result)) == "ROLLBACK" && says_commit(sql)) {
    return fail(ErrorKind::internal,
                "COMMIT was answered with ROLLBACK: an earlier statement of the transaction had failed");
  }
  return Rows(std::move(rows));
}

Status Connection::execute(const std::string& sql, const std::vector<std::string>& parameters) {
  const Result<Rows> rows = query(sql, parameters);
  if (!rows) return tl::unexpected<Error>(rows.error());
  return {};
}

bool Connection::alive() const {
  return impl_ && !impl_->over && PQstatus(impl_->session) == CONNECTION_OK;
}

void Connection::interrupt() {
  if (const int socket = PQsocket(impl_->session); socket >= 0) ::shutdown(socket, SHUT_RDWR);
}

const std::vector<Connection::Notice>& Connection::notices() const {
  return impl_->notices;
}

std::string Connection::sqlstate() const {
  return impl_->sqlstate;
}

int Connection::server_version_num() const {
  return PQserverVersion(impl_->session);
}

}  // namespace walback
