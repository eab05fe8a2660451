#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "integration/support/lab_fixture.h"
#include "integration/support/waldump_oracle.h"

/// walback's answers held against pg_waldump's: plans by the commits on both sides of the stop, restored
/// clusters by their rows.
namespace walback::test {

using WrittenRows = std::vector<std::pair<std::int64_t, std::uint32_t>>;  ///< id and the xid that wrote it

[[nodiscard]] WaldumpOracle oracle_of(const LabFixture& lab);

/// The rows of `ledger()` that may be visible anywhere: all but those whose COMMIT was never sent.
[[nodiscard]] WrittenRows ledger_rows(const LabFixture& lab);
[[nodiscard]] std::set<std::int64_t> ids_in(Connection connection);

/// The options of a target and what pg_waldump says of it; no cut: there is nothing that decides it.
struct Question {
  std::string what;
  std::vector<std::string> target;
  std::optional<Cut> cut;
  std::uint64_t stragglers = 0;  ///< commits beyond the stop that are not stamped beyond the time
};

class Asker {
 public:
  Asker(const LabFixture& lab, const WaldumpOracle& oracle) : lab_(lab), oracle_(oracle) {}

  [[nodiscard]] Question time(std::string what, Timestamp time, bool before) const;
  [[nodiscard]] Question lsn(std::string what, Lsn lsn, bool before) const;
  [[nodiscard]] Question xid(std::string what, std::uint32_t xid, bool before) const;
  [[nodiscard]] Question name(const std::string& name, bool before) const;
  [[nodiscard]] Question latest() const;
  /// By the oldest base backup.
  [[nodiscard]] bool reachable(const Question& question) const;

  /// Fails the test where `walback plan` names another last commit in, another first commit out, or does not
  /// say that commits stamped earlier lie beyond the stop.
  void check(const Question& question) const;

 private:
  const LabFixture& lab_;
  const WaldumpOracle& oracle_;
};

/// Restores to it; fails the test where the copy is not proven, or holds other rows than those that
/// pg_waldump's order of commits makes visible. Returns the proof; the copy is stopped.
Json check_restore(LabFixture& lab, const WaldumpOracle& oracle, const WrittenRows& rows,
                   const Question& question);

/// Nobody commits on the primary any more, neither a person nor walback's mirror of its index.
void wait_for_quiet(const LabFixture& lab);

}  // namespace walback::test
