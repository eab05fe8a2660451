#include "lab/ledger_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "wal/page.h"

namespace walback {
namespace {

class Check {
 public:
  Check(std::vector<SeenLoadRow> rows, Lsn stop, SegmentSize size)
      : rows_(std::move(rows)), stop_(skip_page_header(stop, size)), size_(size) {
    std::ranges::sort(rows_, {}, &SeenLoadRow::id);
    check_.rows = rows_.size();
  }

  LedgerCheck run(const std::vector<LedgerEntry>& entries) {
    for (const LedgerEntry& entry : entries) judge(entry);
    for (const LedgerEntry& entry : entries) look_for_order(entry);
    look_for_strangers(entries);
    return std::move(check_);
  }

 private:
  enum class Place : std::uint8_t { before, inside, behind };

  /// Where its commit record lies: in [insert_lsn_before, insert_lsn_after).
  [[nodiscard]] Place place_of(const LedgerEntry& entry) const {
    if (entry.insert_lsn_after && skip_page_header(*entry.insert_lsn_after, size_) <= stop_)
      return Place::before;
    if (entry.insert_lsn_before && skip_page_header(*entry.insert_lsn_before, size_) >= stop_)
      return Place::behind;
    return Place::inside;
  }

  void judge(const LedgerEntry& entry) {
    const auto found = std::ranges::equal_range(rows_, entry.id, {}, &SeenLoadRow::id);
    const bool there = !found.empty();
    if (found.size() > 1) differ(check_.doubled, entry, fmt::format("is there {} times", found.size()));
    if (there && entry.xid != 0 && found.begin()->xid != entry.xid)
      differ(check_.changed, entry,
             fmt::format("was written by transaction {}, the ledger says {}", found.begin()->xid, entry.xid));
    if (entry.state == LedgerState::failed || entry.settled == Settlement::aborted) {
      if (there) differ(check_.unknown, entry, "is there, and was never committed");
      return;
    }
    const Place place = place_of(entry);
    if (there && place == Place::behind)
      return differ(check_.beyond, entry, "is there, and was committed later");
    if (entry.state == LedgerState::in_doubt && entry.settled != Settlement::committed) {
      ++(there ? check_.in_doubt_there : check_.in_doubt_absent);
    } else if (there) {
      ++check_.confirmed;
    } else if (place == Place::before) {
      lost_.insert(entry.id);
      differ(check_.lost, entry, "was committed, and is not there");
    } else {
      ++(place == Place::behind ? check_.later : check_.at_the_stop);
    }
  }

  /// A writer commits one after the other, so what is there of its commits is there without a hole.
  void look_for_order(const LedgerEntry& entry) {
    const bool there = std::ranges::binary_search(rows_, entry.id, {}, &SeenLoadRow::id);
    const bool committed = entry.state == LedgerState::acknowledged;
    const LedgerEntry*& absent = absent_[entry.writer];
    if (!there && committed && !lost_.contains(entry.id) && absent == nullptr) absent = &entry;
    if (!there || absent == nullptr) return;
    differ(
        check_.reordered, *absent,
        fmt::format("is not there, and row {}, which writer {} committed later, is", entry.id, entry.writer));
    absent = nullptr;
  }

  void look_for_strangers(const std::vector<LedgerEntry>& entries) {
    std::vector<std::int64_t> known;
    known.reserve(entries.size());
    for (const LedgerEntry& entry : entries) known.push_back(entry.id);
    std::ranges::sort(known);
    for (const SeenLoadRow& row : rows_) {
      if (std::ranges::binary_search(known, row.id)) continue;
      ++check_.unknown;
      say(fmt::format("row {} of writer {}, transaction {}: is there, and the ledger does not know it",
                      row.id, row.writer, row.xid));
    }
  }

  void differ(std::uint64_t& count, const LedgerEntry& entry, const std::string& what) {
    ++count;
    say(fmt::format("row {} of writer {}, transaction {}, committed before {}: {}", entry.id, entry.writer,
                    entry.xid,
                    entry.insert_lsn_after ? to_string(*entry.insert_lsn_after) : "an unknown place", what));
  }
  void say(std::string text) {
    if (check_.first.size() < LedgerCheck::kShown) check_.first.push_back(std::move(text));
  }

  std::vector<SeenLoadRow> rows_;
  Lsn stop_;
  SegmentSize size_;
  std::unordered_set<std::int64_t> lost_;
  std::map<int, const LedgerEntry*> absent_;  ///< by writer, the first acknowledged one that is not there
  LedgerCheck check_;
};

}  // namespace

LedgerCheck check_ledger(const std::vector<LedgerEntry>& entries, std::vector<SeenLoadRow> rows, Lsn stop,
                         SegmentSize size) {
  return Check(std::move(rows), stop, size).run(entries);
}

}  // namespace walback
