// How long the processes of a launch may go on after one of them failed.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace excitor {

/// What the launcher sees of a process that has not ended.
struct ProcessState {
  int64_t rank = 0;
  bool is_suspended = false;  ///< SIGSTOP holds it: it can't save anything, and SIGTERM does not reach it
  bool is_saving = false;     ///< it says that it saves
};

/// Most processes have five seconds. Rank 0 saves what is done, and may learn of the failure only when its
/// own operation ends, over NCCL after the time limit: it has the time limit and a minute, and while it
/// saves, and anew once it has saved, as long as that takes.
class Grace {
 public:
  using Clock = std::chrono::steady_clock;

  Grace(Clock::time_point failed_at, std::chrono::milliseconds time_limit)
      : failed_at_(failed_at), heard_at_(failed_at), time_limit_(time_limit) {}

  /// False when the process is to be ended.
  bool holds_for(const ProcessState& process, Clock::time_point now) {
    if (process.rank > 0 || process.is_suspended) return now - failed_at_ <= kOthers;
    if (process.is_saving) heard_at_ = now;
    return now - heard_at_ <= time_limit_ + kToLearnAndBegin;
  }

 private:
  static constexpr std::chrono::seconds kOthers{5}, kToLearnAndBegin{60};

  Clock::time_point failed_at_;
  Clock::time_point heard_at_;  ///< the last time that rank 0 was seen saving
  std::chrono::milliseconds time_limit_;
};

}  // namespace excitor
