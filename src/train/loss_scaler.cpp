#include <excitor/train/loss_scaler.h>

#include <ATen/ops/scalar_tensor.h>

namespace excitor {

void LossScaler::succeed() {
  if (!enabled_ || ++good_steps_ < kGrowthInterval) return;
  scale_ *= 2;
  good_steps_ = 0;
}

bool LossScaler::back_off() {
  if (scale_ <= 1) return false;
  scale_ /= 2;
  good_steps_ = 0;
  return true;
}

std::vector<NamedTensor> LossScaler::state() const {
  if (!enabled_) return {};
  return {{"loss_scaler.scale", at::scalar_tensor(scale_, at::kDouble)},
          {"loss_scaler.good_steps", at::scalar_tensor(good_steps_, at::kLong)}};
}

void LossScaler::load_state(const std::function<at::Tensor(const std::string&)>& lookup) {
  if (!enabled_) return;
  scale_ = lookup("loss_scaler.scale").item<double>();
  good_steps_ = lookup("loss_scaler.good_steps").item<int64_t>();
}

}  // namespace excitor
