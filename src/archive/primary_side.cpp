#include "archive/primary_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "archive/known_cluster.h"
#include "os/system.h"
#include "pg/find_primary.h"
#include "pg/server.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kTick{100};

ConnectionOptions options_for(bool mirror) {
  return {.application_name = mirror ? "walback mirror" : "walback manage",
          .connect_timeout = kPrimaryTimeout,
          .statement_timeout = kPrimaryTimeout,
          .replication = false,
          .synchronous_commit_off = mirror};
}

std::int64_t us(std::chrono::milliseconds duration) {
  return std::chrono::microseconds(duration).count();
}

Result<ServerIdentity> identity_of_our_primary(Connection& connection, const ArchiveIdentity& archive) {
  ServerIdentity server = TRY(server_identity(connection));
  if (server.system_identifier != archive.system_identifier)
    return fail(ErrorKind::foreign_system,
                fmt::format("the primary has system identifier {}, the archive is of {}",
                            server.system_identifier, archive.system_identifier),
                "Was the primary re-initialised, or does `primary: {conninfo}` name another server?");
  if (server.in_recovery)
    return fail(ErrorKind::unavailable, "the server that should be the primary is a standby",
                "After a failover, let `primary: {conninfo}` name the new primary.");
  return server;
}

}  // namespace

PrimarySide::PrimarySide(const ArchiveContext& archive, const Config& config)
    : archive_(archive),
      config_(config),
      mirror_(archive, config.primary.slot),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

PrimarySide::~PrimarySide() = default;

std::optional<WatermarkRow> PrimarySide::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(taken_, std::nullopt);
}

void PrimarySide::ready(TimelineId newest) {
  const std::lock_guard lock(mutex_);
  wanted_ = true;
  newest_ = newest;
}

std::string PrimarySide::error() const {
  const std::lock_guard lock(mutex_);
  return !watermark_error_.empty() ? watermark_error_ : mirror_error_;
}

void PrimarySide::run(const std::stop_token& stop) {
  auto retry = kPrimaryRetryMin;
  while (!stop.stop_requested()) {
    if (const Status done = round(stop); done) {
      retry = kPrimaryRetryMin;
      sleep_for(stop, kTick);
    } else if (done.error().kind != ErrorKind::interrupted) {
      fail_with("primary", done.error());
      connection_.reset();
      sleep_for(stop, retry);
      retry = std::min(retry * 2, kPrimaryRetryMax);
    }
  }
}

Status PrimarySide::round(const std::stop_token& stop) {
  const std::int64_t now_us = archive_.clock.monotonic_us();
  bool wanted = false;
  TimelineId newest;
  {
    const std::lock_guard lock(mutex_);
    wanted = wanted_;
    newest = newest_;
  }
  if (wanted && now_us >= next_watermark_us_) {
    // The archive has gone on to a newer timeline than the session's server writes: it is an old primary.
    if (timeline_ < newest) connection_.reset();
    if (!connection_) TRY(connect());
    TRY(watermark_round(stop));
    next_watermark_us_ = archive_.clock.monotonic_us() + us(config_.manage.watermark_interval);
  }
  if (config_.manage.mirror && now_us >= next_mirror_us_) {
    const Status mirrored = mirror_round();
    mirror_retry_ = mirrored ? kMirrorInterval : std::min(mirror_retry_ * 2, kPrimaryRetryMax);
    next_mirror_us_ = archive_.clock.monotonic_us() + us(mirror_retry_);
    // The mirror is a convenience: its troubles are no reason to give the watermark's session up.
    if (!mirrored) fail_with("mirror", mirrored.error());
  }
  return {};
}

Status PrimarySide::connect() {
  Connection connection =
      TRY(open_primary(config_.primary.conninfo, TRY(known_cluster(archive_)), options_for(false)));
  timeline_ = TRY(identity_of_our_primary(connection, archive_.identity)).timeline;
  connection_ = std::move(connection);
  return {};
}

Status PrimarySide::watermark_round(const std::stop_token& stop) {
  WatermarkRound round = TRY(take_watermark(*connection_, timeline_, archive_.clock, stop));
  const std::lock_guard lock(mutex_);
  watermark_error_.clear();
  if (!round.taken) {
    archive_.log.debug("archive", "no_watermark", {{"reason", round.reason}});
    return {};
  }
  taken_ = round.taken;
  wanted_ = false;
  return {};
}

/// Its own connection, opened for the few rounds that write: with synchronous_commit off.
Status PrimarySide::mirror_round() {
  if (!catalog_) catalog_ = TRY(Catalog::open(archive_.catalog_path));
  if (!TRY(mirror_.due(*catalog_))) return {};
  Connection connection =
      TRY(open_primary(config_.primary.conninfo, TRY(known_cluster(archive_)), options_for(true)));
  TRY(identity_of_our_primary(connection, archive_.identity));
  if (TRY(mirror_.still_due(*catalog_, connection))) TRY(mirror_.write(*catalog_, connection));
  const std::lock_guard lock(mutex_);
  mirror_error_.clear();
  return {};
}

void PrimarySide::fail_with(const std::string& what, const Error& error) {
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    std::string& last = what == "mirror" ? mirror_error_ : watermark_error_;
    news = last != error.message;
    last = error.message;
  }
  if (what == "mirror") catalog_.reset();  // it may have been rebuilt under us
  if (news) say(what, error.message, error.hint);
}

void PrimarySide::say(const std::string& what, const std::string& text, const std::string& hint) {
  archive_.log.warn("archive", what == "mirror" ? "mirror_failed" : "primary_unusable",
                    {{key::error, text}, {key::hint, hint}});
}

}  // namespace walback
