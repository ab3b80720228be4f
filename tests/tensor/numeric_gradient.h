// Central differences in fp64: the judge of every hand-written backward pass.
#pragma once

#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>

#include <excitor/tensor/autograd.h>

namespace excitor {

/// A scalar function of leaves that require grad, fp64.
using ScalarFunction = std::function<at::Tensor()>;

/// d f / d leaf by central differences.
inline at::Tensor numeric_gradient(const ScalarFunction& f, const at::Tensor& leaf) {
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  at::Tensor gradient = at::zeros_like(leaf);
  double* values = leaf.mutable_data_ptr<double>();
  for (int64_t i = 0; i < leaf.numel(); ++i) {
    const double kept = values[i];
    values[i] = kept + kStep;
    const double above = f().item<double>();
    values[i] = kept - kStep;
    const double below = f().item<double>();
    values[i] = kept;
    gradient.view(-1)[i].fill_((above - below) / (2 * kStep));
  }
  return gradient;
}

/// Largest difference, relative to the largest entry of `expected` (at least 1e-3, so that zeros compare as
/// zeros).
inline double relative_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const double scale = std::max(1e-3, expected.abs().max().item<double>());
  return (actual.detach().to(at::kDouble) - expected.detach().to(at::kDouble)).abs().max().item<double>() /
         scale;
}

/// Runs f's backward pass and compares the gradient of every leaf.
inline void expect_gradients(const ScalarFunction& f, const std::vector<at::Tensor>& leaves,
                             double tolerance = 1e-6) {
  for (const auto& leaf : leaves) leaf.mutable_grad() = at::Tensor();
  run_backward(f());
  for (size_t i = 0; i < leaves.size(); ++i) {
    ASSERT_TRUE(leaves[i].grad().defined()) << "leaf " << i;
    EXPECT_LT(relative_difference(leaves[i].grad(), numeric_gradient(f, leaves[i])), tolerance)
        << "leaf " << i;
  }
}

/// A random fp64 leaf.
inline at::Tensor random_leaf(at::IntArrayRef shape) {
  return at::randn(shape, at::TensorOptions(at::kDouble)).requires_grad_(true);
}

}  // namespace excitor
