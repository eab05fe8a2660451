#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "restore/proof.h"
#include "restore/restored_server.h"

/// From "paused at the stop" to "restored": the only way there, for a restore and for `walback clusters
/// promote`.
namespace walback {

struct FinishSetup {
  FileSystem& files;
  Clock& clock;
  RestoredLayout layout;
  std::vector<std::string> superusers;  ///< tried in this order
  std::vector<std::string> hba;         ///< after the quarantine
};

/// Leaves the pause, waits for the promotion, reads the new timeline's history and makes the copy durable, in
/// this order: fsync=on, reload, a new session sees it, CHECKPOINT, syncfs on the file system, the parent
/// directory. Fills `proof` (reached, differences, timings). A stop request ends it (interrupted), wherever
/// it is. A difference is not an error here: the caller writes the proof first.
[[nodiscard]] Status promote_and_make_durable(const FinishSetup& setup, RestoredServer& server, Proof& proof,
                                              std::stop_token stop);

/// The same for a copy that stays paused: fsync=on, reload, a new session sees it, a restartpoint, syncfs. It
/// may be looked at for days; a power cut must not cost what the proof says is there.
[[nodiscard]] Status keep_paused(const FinishSetup& setup, RestoredServer& server, Proof& proof,
                                 std::stop_token stop);

/// Writes the proof beside the copy, durably, and only then ends the quarantine: the hba lines of
/// walback.yaml, reload.
[[nodiscard]] Status publish_proof_and_release(const FinishSetup& setup, RestoredServer& server,
                                               Proof& proof);

/// Measures the phases of a restore on the monotonic clock: each ends where the next begins.
class PhaseWatch {
 public:
  PhaseWatch(const Clock& clock, std::vector<PhaseTiming>& timings);
  ~PhaseWatch() { end(); }
  PhaseWatch(const PhaseWatch&) = delete;
  PhaseWatch& operator=(const PhaseWatch&) = delete;
  void next(const std::string& phase);
  void end();

 private:
  const Clock& clock_;
  std::vector<PhaseTiming>& timings_;
  std::int64_t begun_us_ = 0;
  bool open_ = false;
};

}  // namespace walback
