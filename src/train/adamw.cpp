#include <excitor/train/adamw.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace excitor {

AdamW::AdamW(const ParameterSet& parameters, const Options& options) : options_(options) {
  groups_.resize(2);
  groups_[0].weight_decay = options.weight_decay;
  groups_[1].weight_decay = 0;
  for (const auto& [name, tensor] : parameters.entries()) {
    Group& group = groups_[tensor.dim() >= 2 ? 0 : 1];
    group.names.push_back(name);
    group.parameters.push_back(tensor);
    group.exp_avg.push_back(at::zeros_like(tensor));
    group.exp_avg_sq.push_back(at::zeros_like(tensor));
    group.steps.push_back(at::zeros({}, tensor.options().dtype(at::kFloat).requires_grad(false)));
  }
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  for (const Group& group : groups_) {
    // A parameter without a gradient was not part of this step: neither it nor its moments move.
    std::vector<at::Tensor> parameters, grads, exp_avg, exp_avg_sq, steps;
    for (size_t i = 0; i < group.parameters.size(); ++i) {
      if (!group.parameters[i].grad().defined()) continue;
      parameters.push_back(group.parameters[i]);
      grads.push_back(group.parameters[i].grad());
      exp_avg.push_back(group.exp_avg[i]);
      exp_avg_sq.push_back(group.exp_avg_sq[i]);
      steps.push_back(group.steps[i]);
    }
    if (parameters.empty()) continue;
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(parameters, grads, exp_avg, exp_avg_sq, /*max_exp_avg_sqs=*/{}, steps, learning_rate,
                      options_.beta1, options_.beta2, group.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
}

std::vector<NamedTensor> AdamW::state() const {
  std::vector<NamedTensor> state;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.names.size(); ++i) {
      state.push_back({group.names[i] + ".exp_avg", group.exp_avg[i]});
      state.push_back({group.names[i] + ".exp_avg_sq", group.exp_avg_sq[i]});
      state.push_back({group.names[i] + ".step", group.steps[i]});
    }
  }
  return state;
}

void AdamW::load_state(const std::function<at::Tensor(const std::string&)>& lookup) {
  for (Group& group : groups_) {
    for (size_t i = 0; i < group.names.size(); ++i) {
      group.exp_avg[i].copy_(lookup(group.names[i] + ".exp_avg"));
      group.exp_avg_sq[i].copy_(lookup(group.names[i] + ".exp_avg_sq"));
      group.steps[i].copy_(lookup(group.names[i] + ".step"));
    }
  }
}

GradNorms clip_grad_norm(const ParameterSet& parameters, double max_norm) {
  const at::NoGradGuard no_grad;
  GradNorms norms;
  std::vector<at::Tensor> grads;
  for (const auto& [name, tensor] : parameters.entries()) {
    if (!tensor.grad().defined()) continue;
    norms.names.push_back(name);
    grads.push_back(tensor.grad());
  }
  if (grads.empty()) return {.total = at::zeros({}), .each = at::zeros({0}), .names = {}};
  norms.each = at::stack(at::_foreach_norm(grads));
  norms.total = at::linalg_vector_norm(norms.each);
  if (max_norm > 0)
    at::_foreach_mul_(grads, norms.total.add(1e-6).reciprocal_().mul_(max_norm).clamp_max_(1.0));
  return norms;
}

}  // namespace excitor
