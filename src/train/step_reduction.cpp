#include "step_reduction.h"

#include <csignal>
#include <stdexcept>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <excitor/tensor/device_copy.h>

namespace excitor {
namespace {

// Places behind the numbers of gradients. Tokens are cut in two, so that fp32 holds either part exactly.
enum Count : int64_t { kTokensHigh, kTokensLow, kInterrupts, kTerminations, kSaves, kCounts };
constexpr int64_t kLow = 1 << 16;

std::vector<double> values_of(const StepCounts& own) {
  std::vector<double> counts(kCounts, 0.0);
  counts[kTokensHigh] = static_cast<double>(own.tokens / kLow);
  counts[kTokensLow] = static_cast<double>(own.tokens % kLow);
  counts[kInterrupts] = own.requests.stop_signal == SIGINT ? 1 : 0;
  counts[kTerminations] = own.requests.stop_signal == SIGTERM ? 1 : 0;
  counts[kSaves] = own.requests.save ? 1 : 0;
  return counts;
}

StepSums sums_of(std::span<const double> counts) {
  StepSums sums;
  sums.tokens = static_cast<int64_t>(counts[kTokensHigh]) * kLow + static_cast<int64_t>(counts[kTokensLow]);
  sums.requests.stop_signal = counts[kInterrupts] > 0 ? SIGINT : counts[kTerminations] > 0 ? SIGTERM : 0;
  sums.requests.save = counts[kSaves] > 0;
  return sums;
}

}  // namespace

StepReduction::StepReduction(const ParameterSet& parameters, Communicator& communicator)
    : communicator_(communicator) {
  if (communicator.size() == 1 || parameters.size() == 0) return;
  const at::TensorOptions options = parameters.entries().front().tensor.options().requires_grad(false);
  const int64_t values = static_cast<int64_t>(parameters.size()) + kCounts + communicator.size();
  buffer_ = at::zeros({parameters.numel() + values}, options);
  int64_t begin = 0;
  for (const auto& [name, tensor] : parameters.entries()) {
    if (tensor.scalar_type() != buffer_.scalar_type())
      throw std::logic_error("StepReduction: parameters of different types");
    gradients_.push_back(buffer_.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
  values_ = buffer_.narrow(0, begin, values);
}

void StepReduction::add_up(const ParameterSet& parameters, const at::Tensor& own_loss,
                           const StepCounts& own) {
  const at::NoGradGuard no_grad;
  if (communicator_.size() == 1) {  // gradients stay where they are
    values_ = own_loss.view({1});
    own_ = own;
    return;
  }
  write_values(parameters, own_loss, own);
  write_gradients(parameters);
  communicator_.all_reduce_sum(buffer_);
}

void StepReduction::write_gradients(const ParameterSet& parameters) {
  for (size_t i = 0; i < gradients_.size(); ++i) {
    at::Tensor& gradient = parameters.entries()[i].tensor.mutable_grad();
    if (gradient.defined())
      gradients_[i].copy_(gradient);
    else
      gradients_[i].zero_();
    gradient = gradients_[i];
  }
}

void StepReduction::write_values(const ParameterSet& parameters, const at::Tensor& own_loss,
                                 const StepCounts& own) {
  std::vector<double> host;
  for (const auto& entry : parameters.entries()) host.push_back(entry.tensor.grad().defined() ? 1 : 0);
  for (const double count : values_of(own)) host.push_back(count);
  const auto losses = static_cast<int64_t>(host.size());
  host.resize(host.size() + static_cast<size_t>(communicator_.size()), 0.0);
  values_.copy_(copy_to_device(at::tensor(host, values_.scalar_type()), values_.device()));
  if (own_loss.defined()) values_.select(0, losses + communicator_.rank()).copy_(own_loss);
}

StepSums StepReduction::finish(const ParameterSet& parameters, std::span<const double> values) const {
  if (communicator_.size() == 1)
    return {.loss = values.front(), .tokens = own_.tokens, .requests = own_.requests};
  const std::span<const double> present = values.first(parameters.size());
  for (size_t i = 0; i < present.size(); ++i) {
    if (present[i] == 0) parameters.entries()[i].tensor.mutable_grad() = at::Tensor();
  }
  const std::span<const double> counts = values.subspan(present.size(), kCounts);
  StepSums sums = sums_of(counts);
  for (const double loss : values.subspan(present.size() + kCounts)) sums.loss += loss;
  return sums;
}

}  // namespace excitor
