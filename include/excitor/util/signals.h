// SIGINT and SIGTERM as a request that the work in progress polls, where a second one ends the process at
// once; SIGUSR1 as a request to save and go on.
#pragma once

namespace excitor {

/// Installs the handlers while it lives and restores the former ones afterwards. Inside the life of another
/// one it changes nothing: a request that comes between two pieces of work is kept.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// 0, or the number of the signal that asked to stop.
  static int requested() noexcept;
  /// True once for each SIGUSR1 since the last call.
  static bool take_save_request() noexcept;
};

}  // namespace excitor
