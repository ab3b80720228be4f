#include "step_reduction.h"

#include <csignal>
#include <stdexcept>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

namespace excitor {
namespace {

// Places behind the numbers of gradients. Tokens are cut in two, so that fp32 holds either part exactly.
enum Count : int64_t { kTokensHigh, kTokensLow, kInterrupts, kTerminations, kSaves, kCounts };
constexpr int64_t kLow = 1 << 16;

std::vector<double> counts_of(const StepSums& own) {
  std::vector<double> counts(kCounts, 0.0);
  counts[kTokensHigh] = static_cast<double>(own.tokens / kLow);
  counts[kTokensLow] = static_cast<double>(own.tokens % kLow);
  counts[kInterrupts] = own.requests.stop_signal == SIGINT ? 1 : 0;
  counts[kTerminations] = own.requests.stop_signal == SIGTERM ? 1 : 0;
  counts[kSaves] = own.requests.save ? 1 : 0;
  return counts;
}

}  // namespace

StepReduction::StepReduction(const ParameterSet& parameters, Communicator& communicator)
    : communicator_(communicator) {
  if (communicator.size() == 1 || parameters.size() == 0) return;
  const at::TensorOptions options = parameters.entries().front().tensor.options().requires_grad(false);
  const int64_t rest = static_cast<int64_t>(parameters.size()) + kCounts + communicator.size();
  buffer_ = at::zeros({parameters.numel() + rest}, options);
  int64_t begin = 0;
  for (const auto& [name, tensor] : parameters.entries()) {
    if (tensor.scalar_type() != buffer_.scalar_type())
      throw std::logic_error("StepReduction: parameters of different types");
    gradients_.push_back(buffer_.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
  rest_ = buffer_.narrow(0, begin, rest);
}

StepSums StepReduction::sum(const ParameterSet& parameters, const StepSums& own) {
  if (communicator_.size() == 1) return own;  // gradients stay where they are: no copy
  const at::NoGradGuard no_grad;
  write(parameters, own);
  communicator_.all_reduce_sum(buffer_);
  return read(parameters);
}

void StepReduction::write(const ParameterSet& parameters, const StepSums& own) {
  std::vector<double> rest;
  for (size_t i = 0; i < gradients_.size(); ++i) {
    const at::Tensor& gradient = parameters.entries()[i].tensor.grad();
    rest.push_back(gradient.defined() ? 1 : 0);
    if (gradient.defined())
      gradients_[i].copy_(gradient);
    else
      gradients_[i].zero_();
  }
  for (const double count : counts_of(own)) rest.push_back(count);
  for (int64_t rank = 0; rank < communicator_.size(); ++rank)
    rest.push_back(rank == communicator_.rank() ? own.loss : 0);
  rest_.copy_(at::from_blob(rest.data(), {static_cast<int64_t>(rest.size())}, at::kDouble));
}

StepSums StepReduction::read(const ParameterSet& parameters) {
  const at::Tensor rest = rest_.to(at::kCPU, at::kDouble);
  const double* values = rest.const_data_ptr<double>();
  for (const auto& entry : parameters.entries()) {
    const size_t i = static_cast<size_t>(&entry - parameters.entries().data());
    entry.tensor.mutable_grad() = *values++ > 0 ? gradients_[i] : at::Tensor();
  }
  StepSums sums;
  sums.tokens = static_cast<int64_t>(values[kTokensHigh]) * kLow + static_cast<int64_t>(values[kTokensLow]);
  sums.requests.stop_signal = values[kInterrupts] > 0 ? SIGINT : values[kTerminations] > 0 ? SIGTERM : 0;
  sums.requests.save = values[kSaves] > 0;
  for (int64_t rank = 0; rank < communicator_.size(); ++rank) sums.loss += values[kCounts + rank];
  return sums;
}

}  // namespace excitor
