// Hand-written backward passes: a forward computed without autograd, joined to the graph by one function.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace excitor {

/// Gradients of the inputs given the gradient of the output (defined, any layout). needs[i] tells whether
/// input i's is wanted; the others may stay undefined. State is what the function captures: capture values
/// detached from the graph, and never the output itself (detach it), or the graph holds itself alive.
using BackwardFunction =
    std::function<std::vector<at::Tensor>(const at::Tensor& grad_output, const std::vector<bool>& needs)>;

/// True when autograd records here and one of the (possibly undefined) tensors requires grad.
bool any_requires_grad(std::initializer_list<at::Tensor> inputs);

/// Makes `output`, computed under at::NoGradGuard, depend on `inputs` with `backward` as its derivative. Does
/// nothing when no gradient is needed. `name` shows in autograd's own error messages.
at::Tensor attach_backward(const char* name, at::Tensor output, const std::vector<at::Tensor>& inputs,
                           BackwardFunction backward);

/// The same for several outputs of one computation: their gradients in order, undefined for an output that
/// the result does not depend on.
using JointBackwardFunction = std::function<std::vector<at::Tensor>(
    const std::vector<at::Tensor>& grad_outputs, const std::vector<bool>& needs)>;
std::vector<at::Tensor> attach_joint_backward(const char* name, std::vector<at::Tensor> outputs,
                                              const std::vector<at::Tensor>& inputs,
                                              JointBackwardFunction backward);

/// Runs the backward pass of a scalar and accumulates into the leaves' gradients.
void run_backward(const at::Tensor& loss);
/// The same from the gradient of any output; may be called inside a BackwardFunction. `keep_graph`: another
/// backward pass will run through the same nodes.
void run_backward(const at::Tensor& output, const at::Tensor& grad_output, bool keep_graph = false);

}  // namespace excitor
