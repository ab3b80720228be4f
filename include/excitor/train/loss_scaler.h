// Dynamic loss scaling: fp16 gradients below 6e-8 would be lost (arXiv 1710.03740, section 3.2).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/safetensors.h>

namespace excitor {

/// The factor on the loss in front of the backward pass. It grows twofold after 2,000 good steps and is
/// halved when a gradient is not finite. Disabled it is one and stays so.
class LossScaler {
 public:
  explicit LossScaler(bool enabled) : scale_(enabled ? kInitial : 1), enabled_(enabled) {}

  double scale() const { return scale_; }
  /// After a step whose gradients were finite.
  void succeed();
  /// Halves the scale; false when that can't help: it is one already.
  bool back_off();

  /// "loss_scaler.scale" and "loss_scaler.good_steps"; nothing when disabled.
  std::vector<NamedTensor> state() const;
  void load_state(const std::function<at::Tensor(const std::string&)>& lookup);

 private:
  static constexpr double kInitial = 65536;
  static constexpr int64_t kGrowthInterval = 2000;
  double scale_;
  int64_t good_steps_ = 0;
  bool enabled_;
};

}  // namespace excitor
