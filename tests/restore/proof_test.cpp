#include "restore/proof.h"

#include <doctest/doctest.h>

#include "base/text.h"

using namespace walback;

namespace {

TransactionEnd commit(Lsn lsn, std::uint32_t xid) {
  TransactionEnd end;
  end.lsn = lsn;
  end.time = Timestamp{1'795'168'800'000'000 + xid};
  end.xid = xid;
  return end;
}

Expectation expectation() {
  return {.identity = {7'301'118, *SegmentSize::from_bytes(16U << 20)},
          .timeline = {1},
          .stop = {Lsn{0x3000148}, false},
          .replay_end = Lsn{0x3000148},
          .last_commit = commit(Lsn{0x3000100}, 10),
          .next_commit = commit(Lsn{0x3000148}, 11),
          .last_transaction_time = Timestamp{1'795'168'800'000'010}};
}

Reached paused() {
  Reached reached;
  reached.system_identifier = 7'301'118;
  reached.replay_lsn = Lsn{0x3000148};
  reached.last_transaction_time = Timestamp{1'795'168'800'000'010};
  reached.last_commit = TransactionStatus::committed;
  reached.next_commit = TransactionStatus::in_future;
  return reached;
}

Reached promoted() {
  Reached reached = paused();
  reached.timeline = TimelineId{1};
  reached.new_timeline = TimelineId{2};
  reached.switch_point = Lsn{0x3000148};
  return reached;
}

std::string text(const Expectation& expected, const Reached& reached, ProofStage stage) {
  return join(differences(expected, reached, stage), "; ");
}

}  // namespace

TEST_CASE("proof: what was planned is no difference, at the pause and after the promotion") {
  CHECK(text(expectation(), paused(), ProofStage::paused).empty());
  CHECK(text(expectation(), promoted(), ProofStage::promoted).empty());
}

TEST_CASE("proof: at the pause nothing is known of the new timeline, after the promotion it must be") {
  CHECK(text(expectation(), paused(), ProofStage::promoted) ==
        "timeline that was left: nothing, expected 1; switch point of the new timeline: nothing, expected "
        "0/3000148; new timeline: nothing, expected one above 1");
}

TEST_CASE("proof: each difference by itself") {
  const auto paused_with = [](const auto& change) {
    Reached reached = paused();
    change(reached);
    return text(expectation(), reached, ProofStage::paused);
  };
  CHECK(paused_with([](Reached& r) { r.system_identifier = 42; }) ==
        "system identifier: 42, expected 7301118");
  CHECK(paused_with([](Reached& r) { r.replay_lsn = Lsn{0x3000110}; }) ==
        "end of replay: 0/3000110, expected 0/3000148");
  CHECK(paused_with([](Reached& r) { r.replay_lsn.reset(); }) ==
        "end of replay: nothing, expected 0/3000148");
  CHECK(paused_with([](Reached& r) { r.last_transaction_time = Timestamp{1'795'168'800'000'009}; }) ==
        "time of the last transaction replayed: 2026-11-20T10:00:00.000009Z, expected "
        "2026-11-20T10:00:00.000010Z");
  CHECK(paused_with([](Reached& r) { r.last_transaction_time.reset(); }) ==
        "time of the last transaction replayed: nothing, expected 2026-11-20T10:00:00.000010Z");
  CHECK(paused_with([](Reached& r) { r.last_commit = TransactionStatus::in_progress; }) ==
        "transaction 10 (the last commit in): in_progress, expected committed");
  CHECK(paused_with([](Reached& r) { r.last_commit.reset(); }) ==
        "transaction 10 (the last commit in): nothing, expected committed");
  CHECK(paused_with([](Reached& r) { r.next_commit = TransactionStatus::committed; }) ==
        "transaction 11 (the first commit out): committed, expected not committed");
  CHECK(paused_with([](Reached& r) { r.next_commit.reset(); }) ==
        "transaction 11 (the first commit out): nothing, expected not committed");
  // Frozen away: it did commit, or the commit log would still have it.
  CHECK(paused_with([](Reached& r) { r.last_commit = TransactionStatus::forgotten; }).empty());
  CHECK(paused_with([](Reached& r) { r.next_commit = TransactionStatus::in_progress; }).empty());

  const auto promoted_with = [](const auto& change) {
    Reached reached = promoted();
    change(reached);
    return text(expectation(), reached, ProofStage::promoted);
  };
  CHECK(promoted_with([](Reached& r) { r.timeline = TimelineId{7}; }) ==
        "timeline that was left: 7, expected 1");
  CHECK(promoted_with([](Reached& r) { r.switch_point = Lsn{0x3000190}; }) ==
        "switch point of the new timeline: 0/3000190, expected 0/3000148");
  CHECK(promoted_with([](Reached& r) { r.new_timeline = TimelineId{1}; }) ==
        "new timeline: 1, expected one above 1");
}

TEST_CASE("proof: positions are the same where only a page header lies between them") {
  Expectation expected = expectation();
  expected.replay_end = Lsn{0x4000028};
  Reached reached = promoted();
  reached.replay_lsn = reached.switch_point = Lsn{0x4000000};
  CHECK(text(expected, reached, ProofStage::promoted).empty());
  expected.replay_end = Lsn{0x4002018};
  reached.replay_lsn = reached.switch_point = Lsn{0x4002000};
  CHECK(text(expected, reached, ProofStage::promoted).empty());
  reached.replay_lsn = Lsn{0x4002020};
  CHECK(text(expected, reached, ProofStage::promoted) == "end of replay: 0/4002020, expected 0/4002018");
}

TEST_CASE("proof: promoted without a pause, the switch point alone stands for the position") {
  Reached reached = promoted();
  reached.promoted_without_pause = true;
  reached.replay_lsn.reset();
  reached.last_transaction_time.reset();
  CHECK(text(expectation(), reached, ProofStage::promoted).empty());
  reached.switch_point = Lsn{0x3000000};
  // Skipped to the first record of that segment.
  CHECK(text(expectation(), reached, ProofStage::promoted) ==
        "switch point of the new timeline: 0/3000028, expected 0/3000148");
}

TEST_CASE("proof: without commits around the stop there is nothing to ask about them") {
  Expectation expected = expectation();
  expected.last_commit.reset();
  expected.next_commit.reset();
  expected.last_transaction_time.reset();
  Reached reached = paused();
  reached.last_commit.reset();
  reached.next_commit.reset();
  CHECK(text(expected, reached, ProofStage::paused) ==
        "time of the last transaction replayed: 2026-11-20T10:00:00.000010Z, expected nothing");
  reached.last_transaction_time.reset();
  CHECK(text(expected, reached, ProofStage::paused).empty());
}

TEST_CASE("proof: a copy that was never asked proves nothing") {
  Proof proof(expectation());
  CHECK_FALSE(proof.holds());
  proof.reached = promoted();
  proof.compare(ProofStage::promoted);
  CHECK(proof.holds());
  CHECK(to_json(proof)["verdict"] == "proven");
  proof.reached.switch_point.reset();
  proof.compare(ProofStage::promoted);
  CHECK_FALSE(proof.holds());
  CHECK(to_json(proof)["verdict"] == "mismatch");
}

TEST_CASE("proof: what a paused copy is held against later comes back from its mark") {
  const auto again = [](const Expectation& expected) {
    const auto read = parse_expectation(*parse_json(to_text(to_json(expected)), "it"), "it");
    REQUIRE(read);
    return to_json(*read);
  };
  Expectation expected = expectation();
  CHECK(again(expected) == to_json(expected));
  const auto read = parse_expectation(to_json(expected), "it");
  REQUIRE(read);
  CHECK(text(*read, promoted(), ProofStage::promoted).empty());
  CHECK(read->last_commit->time == expected.last_commit->time);
  CHECK(read->stop == expected.stop);
  expected.last_commit.reset();
  expected.next_commit.reset();
  expected.last_transaction_time.reset();
  expected.stop.inclusive = true;
  CHECK(again(expected) == to_json(expected));
}

TEST_CASE("proof: a mark that does not say what to reach is refused") {
  const Json whole = to_json(expectation());
  for (const char* key :
       {"system_identifier", "wal_segment_size", "timeline", "stop_lsn", "inclusive", "replay_end_lsn"}) {
    Json json = whole;
    json.erase(key);
    const auto read = parse_expectation(json, "'/r/walback-restore.json'");
    REQUIRE_FALSE(read);
    CHECK(read.error() == Error{ErrorKind::corrupt,
                                "'/r/walback-restore.json' does not say what the restore was to reach", ""});
  }
  CHECK_FALSE(parse_expectation(Json::array(), "it"));
  CHECK_FALSE(parse_expectation(nullptr, "it"));
}
