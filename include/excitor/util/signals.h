// SIGINT and SIGTERM as a request that the work in progress polls; a second one ends the process at once.
#pragma once

namespace excitor {

/// Installs the handlers while it lives and restores the former ones afterwards.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// 0, or the number of the signal that asked to stop.
  static int requested() noexcept;
};

}  // namespace excitor
