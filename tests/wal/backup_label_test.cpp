#include "wal/backup_label.h"

#include <doctest/doctest.h>

#include <string>

using namespace walback;

namespace {
const std::string kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: primary\n"
    "START TIME: 2026-11-20 10:42:07 UTC\n"
    "LABEL: nightly: the second try\n"
    "START TIMELINE: 1\n";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kLabel;
  return text.replace(text.find(from), from.size(), to);
}
std::string refusal(const std::string& text) {
  const auto label = parse_backup_label(text);
  REQUIRE_FALSE(label.has_value());
  CHECK(label.error().kind == ErrorKind::corrupt);
  CHECK(label.error().hint == "The base backup is not whole; take another one.");
  return label.error().message;
}
}  // namespace

TEST_CASE("backup label: as PostgreSQL writes it, and with lines it may add") {
  const BackupLabel expected{{0x2000028},
                             "000000010000000000000002",
                             {0x2000060},
                             "streamed",
                             "primary",
                             "2026-11-20 10:42:07 UTC",
                             "nightly: the second try",
                             {1}};
  CHECK(parse_backup_label(kLabel) == expected);
  CHECK(parse_backup_label(kLabel + "INCREMENTAL FROM LSN: 0/1\nMOON: full\n") == expected);
}

TEST_CASE("backup label: missing, repeated and unreadable lines are refused by name") {
  CHECK(refusal("") == "backup_label has no line 'START WAL LOCATION'");
  CHECK(refusal(with("BACKUP FROM: primary\n", "")) == "backup_label has no line 'BACKUP FROM'");
  CHECK(refusal(kLabel + "LABEL: again\n") == "backup_label has two lines 'LABEL'");
  CHECK(refusal(with("0/2000028 (file 000000010000000000000002)", "0/2000028")) ==
        "backup_label, line 'START WAL LOCATION': found '0/2000028', expected an LSN and a segment file");
  CHECK(refusal(with("0/2000060", "2000060")) ==
        "backup_label, line 'CHECKPOINT LOCATION': found '2000060', expected an LSN");
  CHECK(refusal(with("TIMELINE: 1", "TIMELINE: 0")) ==
        "backup_label, line 'START TIMELINE': found '0', expected a timeline");
}
