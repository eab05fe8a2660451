#include "command/answer.h"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <functional>

using namespace walback;

namespace {

/// What reaches stdout.
std::string written(const std::function<void(Answer&)>& answer, const std::optional<Json>& error) {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* file = open_memstream(&bytes, &size);
  Answer to(file);
  answer(to);
  REQUIRE(to.finish(error).has_value());
  std::fclose(file);
  std::string text(bytes, size);
  std::free(bytes);
  return text;
}

const Json kError{{"error", {{"kind", "findings"}, {"message", "2 things"}, {"hint", ""}}}};
const auto kNothing = [](Answer&) {};

}  // namespace

TEST_CASE("answer: an error without an answer is a document of its own") {
  CHECK(Json::parse(written(kNothing, kError)) == kError);
  CHECK(written(kNothing, std::nullopt).empty());
}

TEST_CASE("answer: an error after the answer becomes its member: one document, not two") {
  const auto answer = [](Answer& to) { to.document({{"protected", false}}); };
  const Json json = Json::parse(written(answer, kError));
  CHECK(json["protected"] == false);
  CHECK(json["error"] == kError["error"]);
  CHECK(written(answer, std::nullopt) == "{\n  \"protected\": false\n}\n");
}

TEST_CASE("answer: a list under way ends with the error and stays one document") {
  const auto two = [](Answer& to) {
    to.begin_items();
    to.item({{"xid", 1}});
    to.item({{"xid", 2}});
  };
  CHECK(written(two, std::nullopt) == "[\n{\"xid\":1},\n{\"xid\":2}\n]\n");
  CHECK(Json::parse(written(two, kError)).back() == kError);
  const auto none = [](Answer& to) { to.begin_items(); };
  CHECK(Json::parse(written(none, std::nullopt)) == Json::array());
  CHECK(Json::parse(written(none, kError)) == Json::array({kError}));
}

TEST_CASE("answer: a text gets its final newline") {
  CHECK(written([](Answer& to) { to.text("no backups"); }, std::nullopt) == "no backups\n");
  CHECK(written([](Answer& to) { to.text("two\nlines\n"); }, std::nullopt) == "two\nlines\n");
}

TEST_CASE("answer: a full device is an error, a reader who went away is none") {
  std::FILE* full = std::fopen("/dev/full", "w");
  REQUIRE(full != nullptr);
  Answer lost(full);
  CHECK_FALSE(lost.text("hello"));
  const Status status = lost.finish(std::nullopt);
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error() == Error{ErrorKind::disk_full,
                                "the answer could not be written to stdout: No space left on device",
                                "The command itself did its work."});
  std::fclose(full);

  std::FILE* gone = popen("true", "w");
  REQUIRE(gone != nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Answer unread(gone);
  for (int i = 0; i < 1'000'000 && unread.text("a line that nobody reads"); ++i) {
  }
  CHECK_FALSE(unread.item({{"xid", 1}}));
  CHECK(unread.finish(std::nullopt).has_value());
  pclose(gone);
}
