// The operators that have kernels for CPUs, in fp32 and bf16, against the same in fp64, which has none.
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <excitor/tensor/fused.h>

namespace excitor {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

/// Leaves of these values in `type`.
Tensors leaves(const Tensors& values, at::ScalarType type) {
  Tensors result;
  for (const at::Tensor& value : values)
    result.push_back(value.detach().to(type, false, /*copy=*/true).requires_grad_());
  return result;
}

/// What `f` gives, then its gradients, with `dy` as the gradient of its result.
Tensors values_and_gradients(const Function& f, const Tensors& inputs, const at::Tensor& dy) {
  const at::Tensor y = f(inputs);
  y.backward(dy.to(y.scalar_type()));
  Tensors result{y.detach()};
  for (const at::Tensor& x : inputs) {
    if (x.grad().defined()) result.push_back(x.grad());
  }
  return result;
}

class CpuKernels : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam()); }

  /// Half a unit in the last place for each rounding on the way: bf16 is rounded two or three times.
  double tolerance() const { return GetParam() == at::kFloat ? 2e-6 : 8e-3; }

  void expect_as_in_double(const Function& f, const Tensors& values, const at::Tensor& dy) const {
    const Tensors found = values_and_gradients(f, leaves(values, GetParam()), dy);
    const Tensors expected = values_and_gradients(f, leaves(values, at::kDouble), dy);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].scalar_type(), GetParam());
      const double scale = std::max(1.0, expected[i].abs().max().item<double>());
      EXPECT_LT((found[i].to(at::kDouble) - expected[i]).abs().max().item<double>(), tolerance() * scale)
          << "of output and gradients, number " << i;
    }
  }
};

TEST_P(CpuKernels, RmsNormOfAnyWidth) {
  for (const int64_t width : {5, 64, 771}) {
    expect_as_in_double([](const Tensors& x) { return rms_norm(x[0], x[1], 1e-5); },
                        {random({50, width}), random({width})}, random({50, width}));
  }
}

TEST_P(CpuKernels, RmsNormWithAFrozenWeight) {
  const at::Tensor weight = random({771});
  expect_as_in_double([&](const Tensors& x) { return rms_norm(x[0], weight.to(x[0].scalar_type()), 1e-5); },
                      {random({50, 771})}, random({50, 771}));
}

TEST_P(CpuKernels, SiluMulOfAnyWidth) {
  for (const int64_t width : {1, 7, 64, 771}) {
    expect_as_in_double([](const Tensors& x) { return silu_mul(x[0], x[1]); },
                        {random({50, width}) * 4, random({50, width})}, random({50, width}));
  }
}

TEST_P(CpuKernels, SiluKeepsItsSenseFarFromZeroAndNaNStaysOne) {
  const at::Tensor gate = at::tensor({-1e4, -200., -88., -20., 0., 20., 88., 200., 1e4}).to(GetParam());
  const at::Tensor y = silu_mul(gate, at::ones({9}, GetParam())).to(at::kDouble);
  EXPECT_LT(
      (y - at::silu(gate.to(at::kDouble))).abs().div(gate.to(at::kDouble).abs() + 1).max().item<double>(),
      tolerance());
  const at::Tensor nan = at::zeros({33}, GetParam()).fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(silu_mul(nan, at::ones({33}, GetParam())).isnan().all().item<bool>());
}

TEST_P(CpuKernels, RotationOfHeadsThatLieInsideAWiderTensor) {
  for (const int64_t width : {2, 6, 64, 128}) {
    const at::Tensor angle = at::randn({30, width / 2});
    const at::Tensor cos = angle.cos().to(GetParam()), sin = angle.sin().to(GetParam());
    const Function rotate = [&](const Tensors& x) {
      const at::ScalarType type = x[0].scalar_type();
      return rotate_half(x[0].narrow(1, 1, 3), cos.to(type), sin.to(type));
    };
    expect_as_in_double(rotate, {random({30, 5, width})}, random({30, 3, width}));
  }
}

TEST_P(CpuKernels, CausalAttentionOverBlocksOfQueries) {
  const Segments segments({1, 7, 192});
  const Function attend = [&](const Tensors& x) { return causal_attention(x[0], x[1], x[2], segments); };
  expect_as_in_double(attend, {random({200, 4, 16}), random({200, 2, 16}), random({200, 2, 16})},
                      random({200, 4, 16}));
}

/// NaN of any bits: those of a damaged file as well as those that arithmetic makes.
TEST(CpuKernelsOfNaN, LossAndAttentionAreNaNToo) {
  const Linear identity = Linear::dense(at::eye(67));
  for (const int64_t bits : {0x7fc00000, 0x7fc00001, 0x7fffffff, -1}) {
    const at::Tensor nan = at::full({}, bits, at::kInt).view(at::kFloat);
    at::Tensor x = at::randn({40, 67});
    x[3][5] = nan;
    const at::Tensor loss = cross_entropy(x, {.frozen = identity}, at::zeros({40}, at::kLong), {});
    EXPECT_TRUE(loss.isnan().item<bool>()) << bits;
    at::Tensor k = at::randn({40, 2, 16});
    k[7][1] = nan;
    const at::Tensor q = at::randn({40, 2, 16});
    const at::Tensor y = causal_attention(q, k, q, Segments({40}));
    EXPECT_TRUE(y.select(1, 1).narrow(0, 7, 33).isnan().all().item<bool>()) << bits;
    EXPECT_FALSE(y.select(1, 0).isnan().any().item<bool>()) << bits;
  }
}

TEST(CpuKernelsOfTargets, OneThatIsNoTokenIsAnError) {
  const Linear identity = Linear::dense(at::eye(67));
  for (const int64_t target : {-100, -1, 67}) {
    const at::Tensor targets = at::full({4}, target, at::kLong);
    EXPECT_THROW(cross_entropy(at::randn({4, 67}), {.frozen = identity}, targets, {}), c10::Error) << target;
  }
}

/// The output layer is the identity, so that the logits are the same numbers in every type.
TEST_P(CpuKernels, CrossEntropyOfLogitsFarApart) {
  const at::Tensor identity = at::eye(67), targets = at::randint(67, {40}, at::kLong);
  const Function loss = [&](const Tensors& x) {
    const OutputHead head{.frozen = Linear::dense(identity.to(x[0].scalar_type()))};
    return cross_entropy(x[0], head, targets, {.weight = 0.25, .chunk_rows = 32}).to(x[0].scalar_type());
  };
  expect_as_in_double(loss, {random({40, 67}) * 30}, at::ones({}));
}

TEST_P(CpuKernels, TheSameBitsForAnyNumberOfThreads) {
  const at::Tensor x = random({400, 771}), up = random({400, 771}), weight = random({771});
  const auto all = [&] { return Tensors{rms_norm(x, weight, 1e-5), silu_mul(x, up)}; };
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = all();
  at::set_num_threads(3);
  const Tensors three = all();
  at::set_num_threads(before);
  EXPECT_TRUE(one[0].equal(three[0]) && one[1].equal(three[1]));
}

INSTANTIATE_TEST_SUITE_P(Types, CpuKernels, testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace excitor
