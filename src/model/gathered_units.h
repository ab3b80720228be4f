// Bringing in the frozen matrices of which each process holds a part, a unit at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/dist/communicator.h>
#include <excitor/model/joined_passes.h>
#include <excitor/model/sharded_base.h>

#include "gather_unit.h"

namespace excitor {

/// Whole units on demand: the one that is computed with, and the one that is expected next, gathered
/// meanwhile. Others are dropped. The next one is the one that followed last time on the same two, at first
/// the next in the direction of travel: so a backward pass is met from the top, and an embedding while the
/// optimiser works.
///
/// A gather is collective, and what is gathered follows from the units that were asked for alone: so every
/// process must ask for the same units in the same order, which processes do that run the same kinds of
/// passes. One thread at a time.
class GatheredUnits : public Gathers {
 public:
  GatheredUnits(BaseShare share, std::vector<UnitPart> parts);
  ~GatheredUnits() override;
  GatheredUnits(const GatheredUnits&) = delete;
  GatheredUnits& operator=(const GatheredUnits&) = delete;

  /// The vector of a unit, [n·part]. It is dropped when another unit is asked for: keep no view of it.
  at::Tensor whole(int64_t unit);

  GatherRoute note(const std::function<void()>& pass) override;
  void follow(const GatherRoute& route) override;

 private:
  struct Gathered {
    at::Tensor whole;                  // [n·part]
    std::unique_ptr<Pending> pending;  ///< null once it is there
    void wait();
  };
  static constexpr int64_t kNone = -1;

  void start(int64_t unit);
  /// Memory for a unit: that of the unit dropped last if it fits, so that a pass through the layers does not
  /// ask the system for pages again and again.
  at::Tensor take_memory(const UnitPart& part);
  void drop_all_but(int64_t unit, int64_t next);
  int64_t expected_next() const;

  BaseShare share_;
  std::vector<UnitPart> parts_;
  std::map<int64_t, Gathered> held_;
  at::Tensor spare_;  ///< memory of the unit dropped last, until the next gather has begun
  int64_t previous_ = kNone, current_ = kNone;
  std::map<std::pair<int64_t, int64_t>, int64_t> followed_;  ///< what came after two units, last time
  std::optional<GatherRoute> noted_;                         ///< of the pass that is being noted
  bool is_broken_ = false;  ///< a gather has failed: none is waited for any more
};

}  // namespace excitor
