// Passes that the processes of a sharded base run together, whether each has something to compute or not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace excitor {

/// What a pass gathers of a sharded base, in order: numbers of its units.
using GatherRoute = std::vector<int64_t>;

/// The gathers of a sharded base (see sharded_base.h), seen from outside. One thread at a time.
class Gathers {
 public:
  virtual ~Gathers() = default;
  /// Runs `pass` and returns what it gathered.
  virtual GatherRoute note(const std::function<void()>& pass) = 0;
  /// Gathers as a pass did. Throws CommunicationError.
  virtual void follow(const GatherRoute& route) = 0;
};

/// Passes of one kind: forward with the same bypass and options, then backward or not.
class JoinedPasses {
 public:
  /// `gathers`: of the model; null when each process holds the whole base.
  explicit JoinedPasses(std::shared_ptr<Gathers> gathers) : gathers_(std::move(gathers)) {}

  /// Runs a pass that counts.
  void compute(const std::function<void()>& pass);
  /// Takes part in a pass that only other processes need: gathers what it gathers and computes nothing. The
  /// first time, when no pass of this kind has shown what that is, `uncounted` is run, whose results the
  /// caller drops. Nothing where the base is whole.
  void join(const std::function<void()>& uncounted);

 private:
  std::shared_ptr<Gathers> gathers_;
  std::optional<GatherRoute> route_;
};

}  // namespace excitor
