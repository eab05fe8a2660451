#include "archive/wal_watch.h"

#include <algorithm>
#include <utility>

#include "catalog/archive.h"

namespace walback {
namespace {

bool is_unfinished(const std::string& name) {
  return name.ends_with(".partial") || name.ends_with(".tmp");
}

}  // namespace

WalNews judge_changes(const DirectoryWatch::Changes& changes) {
  const bool surprising = std::ranges::any_of(
      changes.named, [](const DirectoryWatch::Change& change) { return !is_unfinished(change.name); });
  return surprising || !changes.complete ? WalNews::tampering : WalNews::growth;
}

void WalWatch::open() {
  auto opened = DirectoryWatch::open();
  if (!opened) {
    archive_.log.warn("archive", "watch_failed",
                      {{key::error, opened.error().message},
                       {key::hint, "News is looked for every `manage: {interval}` instead."}});
    return;
  }
  watch_ = std::move(*opened);
  follow(archive_.layout.wal());
}

void WalWatch::follow_epochs() {
  const auto epochs = list_epochs(archive_.files, archive_.layout);
  if (!epochs || !watch_) return;
  follow(archive_.layout.wal());
  for (const std::uint32_t epoch : epochs->numbers) follow(archive_.layout.epoch(epoch));
}

void WalWatch::follow(const Path& directory) {
  if (const Status added = watch_->add(directory); !added && !std::exchange(said_, true))
    archive_.log.warn("archive", "watch_failed", {{key::error, added.error().message}});
}

WalNews WalWatch::wait(const std::stop_token& stop, std::chrono::milliseconds timeout) {
  if (!watch_) {
    sleep_for(stop, timeout);
    return WalNews::nothing;
  }
  if (!watch_->wait(stop, timeout)) return WalNews::nothing;
  return judge_changes(watch_->take_changes());
}

}  // namespace walback
