#pragma once
#include <memory>
#include <string>
#include <vector>

#include "integration/support/lab_fixture.h"
#include "os/process.h"

namespace walback::test {

/// A walback command that was stopped (SIGSTOP) while it holds the archive's lock of this role: a second one
/// comes upon a first that lives, however fast it is.
[[nodiscard]] std::unique_ptr<Process> stopped_while_holding(const LabFixture& lab, const std::string& role,
                                                             const std::vector<std::string>& arguments);

/// `second` is refused as long as the first lives, with its pid and a hint; killed, it is in nobody's way.
void check_second_is_refused(const LabFixture& lab, const std::string& role,
                             const std::vector<std::string>& arguments);

/// The archive as it is now, to be put back.
class SavedArchive {
 public:
  explicit SavedArchive(const LabFixture& lab);
  void put_back() const;

 private:
  void copy(const Path& from, const Path& to) const;
  Path archive_, saved_;
};

}  // namespace walback::test
