#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walback {

/// synchronous_standby_names as a value. Names are application_names, compared without regard to case; "*" is
/// any. FIRST: wait for the `count` connected ones that stand first; ANY: for any `count` of them.
struct StandbyNames {
  enum class Method : std::uint8_t { first, any };
  Method method = Method::first;
  unsigned count = 1;
  std::vector<std::string> names;  ///< empty: nobody is waited for
  bool operator==(const StandbyNames&) const = default;
};

/// Each form that PostgreSQL takes: "a, b", "2 (a, b)", "FIRST 2 (a, b)", "ANY 1 (a, \"b c\")", "*", "".
/// Nothing for what PostgreSQL would refuse.
[[nodiscard]] std::optional<StandbyNames> parse_standby_names(std::string_view text);
/// The shortest form: "" for nobody, "a" for FIRST 1 (a).
[[nodiscard]] std::string render(const StandbyNames& names);

/// By its own name; "*" does not count.
[[nodiscard]] bool lists(const StandbyNames& names, std::string_view receiver);
/// No commit returns before `receiver` has flushed it, connected or not: all that are listed are waited for.
/// FIRST 2 (receiver, a, b) is less: once the receiver is gone, a and b suffice.
[[nodiscard]] bool always_waits_for(const StandbyNames& names, std::string_view receiver);

/// `others` keep what they were promised, and commits wait for `receiver` too: FIRST k (…) becomes FIRST k+1
/// (receiver, …), and so does ANY k, because PostgreSQL cannot say "receiver, and any k of these". Only where
/// all of the others were waited for does every commit wait for the receiver, too (always_waits_for).
[[nodiscard]] StandbyNames with_receiver(const StandbyNames& others, const std::string& receiver);
/// What remains for the others.
[[nodiscard]] StandbyNames without_receiver(const StandbyNames& names, std::string_view receiver);

/// What pg_stat_replication shows of walback's own receiver, and what synchronous_standby_names may list.
inline constexpr std::string_view kReceiverName = "walback_capture";

}  // namespace walback
