#include "capture/follow_primary.h"

#include <future>
#include <memory>
#include <optional>

#include "pg/find_primary.h"
#include "pg/wal_directory_queries.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kLookTimeout{5'000};

ConnectionOptions look_options() {
  ConnectionOptions options;
  options.application_name = "walback_capture_watch";
  options.connect_timeout = kLookTimeout;
  options.statement_timeout = kLookTimeout;
  return options;
}

class PrimaryFollower {
 public:
  PrimaryFollower(std::string conninfo, std::string slot, KnownClusterNow known)
      : conninfo_(std::move(conninfo)), slot_(std::move(slot)), known_(std::move(known)) {}

  Result<PrimaryView> look() {
    auto view = try_look();
    if (!view) connection_.reset();
    return view;
  }

 private:
  using Clock = std::chrono::steady_clock;

  Result<PrimaryView> try_look() {
    take_search();
    if (!connection_) {
      if (!choice_is_new_) choice_ = TRY(find_primary(conninfo_, TRY(known_()), look_options()));
      choice_is_new_ = false;
      connection_ = TRY(Connection::open(choice_->host.conninfo, look_options()));
      may_set_lc_messages_ = may_set_lc_messages(*connection_).value_or(false);
    }
    PrimaryView view;
    view.host = choice_->host;
    view.history = choice_->server.history;
    view.refused = choice_->refused;
    view.system_identifier = choice_->server.system_identifier;
    view.may_set_lc_messages = may_set_lc_messages_;
    TRY(ask_about_wal(*connection_, slot_, view));
    return view;
  }

  /// The primary is who it was, and nobody else takes writes: nothing to hold against the archive's files,
  /// which may be a million.
  bool nothing_new(const std::vector<HostSight>& sights) {
    for (const HostSight& sight : sights) {
      if (!sight.seen || sight.seen->in_recovery) continue;
      const bool same = sight.host == choice_->host && sight.seen->history == choice_->server.history &&
                        sight.seen->started_at == choice_->server.started_at;
      if (!same) return false;
    }
    choice_->refused.clear();
    return true;
  }

  /// What the search in the background found; another one is begun when it is due. One that finds no primary
  /// is no news while our own connection lives.
  void take_search() {
    if (search_.valid()) {
      if (search_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
      const auto sights = search_.get();
      if (!choice_ || nothing_new(sights)) return;
      const auto known = known_();
      if (!known) return;
      auto found = choose_primary(sights, *known);
      if (!found) return;
      const bool another = found->host != choice_->host || found->server.history != choice_->server.history ||
                           found->server.started_at != choice_->server.started_at;
      if (another) {
        connection_.reset();
        choice_is_new_ = true;
      }
      choice_ = std::move(*found);
      return;
    }
    if (Clock::now() < next_search_) return;
    auto hosts = hosts_of(conninfo_);
    if (!hosts) return;
    next_search_ = Clock::now() + (hosts->size() > 1 ? kSearchInterval : kLoneSearchInterval);
    search_ = std::async(std::launch::async,
                         [hosts = std::move(*hosts)] { return look_at_hosts(hosts, look_options()); });
  }

  std::string conninfo_, slot_;
  KnownClusterNow known_;
  std::optional<PrimaryChoice> choice_;
  bool choice_is_new_ = false;
  std::optional<Connection> connection_;
  bool may_set_lc_messages_ = false;
  Clock::time_point next_search_ = Clock::now() + kSearchInterval;
  std::future<std::vector<HostSight>> search_;
};

}  // namespace

LookAtPrimary look_at_primary(const std::string& conninfo, const std::string& slot, KnownClusterNow known) {
  auto follower = std::make_shared<PrimaryFollower>(conninfo, slot, std::move(known));
  return [follower] { return follower->look(); };
}

}  // namespace walback
