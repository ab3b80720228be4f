#include <excitor/tensor/autograd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace excitor {
namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;

/// A graph node whose derivative is a std::function.
class FunctionNode : public Node {
 public:
  FunctionNode(const char* name, JointBackwardFunction backward, size_t inputs)
      : name_(name), backward_(std::move(backward)), inputs_(inputs) {}

  std::string name() const override { return name_; }
  void release_variables() override { backward_ = nullptr; }

 protected:
  variable_list apply(variable_list&& grads) override {
    if (std::ranges::none_of(grads, [](const at::Tensor& grad) { return grad.defined(); }))
      return variable_list(inputs_);
    TORCH_CHECK(backward_ != nullptr, name_, ": backward ran twice through the same graph");
    std::vector<bool> needs(inputs_);
    for (size_t i = 0; i < inputs_; ++i) needs[i] = task_should_compute_output(i);
    return backward_(grads, needs);
  }

 private:
  const char* name_;
  JointBackwardFunction backward_;
  size_t inputs_;
};

}  // namespace

bool any_requires_grad(std::initializer_list<at::Tensor> inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const auto& input : inputs) {
    if (input.defined() && input.requires_grad()) return true;
  }
  return false;
}

at::Tensor attach_backward(const char* name, at::Tensor output, const std::vector<at::Tensor>& inputs,
                           BackwardFunction backward) {
  return attach_joint_backward(name, {std::move(output)}, inputs,
                               [backward = std::move(backward)](const std::vector<at::Tensor>& grads,
                                                                const std::vector<bool>& needs) mutable {
                                 return backward(grads[0], needs);
                               })[0];
}

std::vector<at::Tensor> attach_joint_backward(const char* name, std::vector<at::Tensor> outputs,
                                              const std::vector<at::Tensor>& inputs,
                                              JointBackwardFunction backward) {
  if (std::ranges::none_of(inputs, [](const at::Tensor& input) { return any_requires_grad({input}); }))
    return outputs;
  const std::shared_ptr<Node> node(new FunctionNode(name, std::move(backward), inputs.size()),
                                   torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(outputs, node);
  return outputs;
}

void run_backward(const at::Tensor& loss) {
  run_backward(loss, at::ones_like(loss));
}

void run_backward(const at::Tensor& output, const at::Tensor& grad_output, bool keep_graph) {
  torch::autograd::backward({output}, {grad_output}, keep_graph);
}

}  // namespace excitor
