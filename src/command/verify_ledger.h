#pragma once
#include <string>

#include "command/command.h"

namespace walback {

struct LedgerOptions {
  std::string file, cluster;
};
/// `walback verify --ledger`: the rows of a restored cluster against what the load generator was told, up to
/// the stop that the cluster's proof names. Differences: findings.
[[nodiscard]] Status verify_ledger(Context& context, const LedgerOptions& options);

}  // namespace walback
