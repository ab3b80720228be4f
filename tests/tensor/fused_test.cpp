// Values against plain formulas, gradients against central differences.
#include <excitor/tensor/fused.h>

#include <chrono>
#include <cmath>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <excitor/tensor/matmul.h>

#include "tensor/numeric_gradient.h"

namespace excitor {
namespace {

at::Tensor random_like_shape(at::IntArrayRef shape) {
  return at::randn(shape, at::TensorOptions(at::kDouble));
}

/// Softmax attention written out for one sequence. q [T,H,d], k and v [T,G,d].
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t repeat = q.size(1) / k.size(1);
  const at::Tensor qh = q.transpose(0, 1), kh = k.repeat_interleave(repeat, 1).transpose(0, 1);
  const at::Tensor vh = v.repeat_interleave(repeat, 1).transpose(0, 1);
  at::Tensor score = qh.matmul(kh.transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
  const at::Tensor later = at::ones({q.size(0), k.size(0)}, at::kBool).triu(1 + k.size(0) - q.size(0));
  return score.masked_fill(later, -INFINITY).softmax(-1).matmul(vh).transpose(0, 1);
}

TEST(FrozenLinear, PassesTheGradientOfXAndNoneToTheWeight) {
  const at::Tensor weight = random_like_shape({4, 3});
  const Linear linear = Linear::dense(weight, random_like_shape({4}));
  const at::Tensor x = random_leaf({5, 3}), mix = random_like_shape({5, 4});
  expect_gradients([&] { return (frozen_linear(linear, x) * mix).sum(); }, {x});
  EXPECT_FALSE(weight.grad().defined());
}

TEST(FrozenLinear, RecordsNothingWhenNoInputRequiresGrad) {
  const Linear linear = Linear::dense(random_like_shape({4, 3}));
  EXPECT_FALSE(frozen_linear(linear, random_like_shape({5, 3})).requires_grad());
}

TEST(TrainableLinear, PassesGradientsToInputWeightAndBias) {
  const at::Tensor x = random_leaf({5, 3}), weight = random_leaf({4, 3}), bias = random_leaf({4}),
                   mix = random_like_shape({5, 4});
  EXPECT_LT(relative_difference(trainable_linear(x, weight, bias), x.mm(weight.t()) + bias), 1e-12);
  expect_gradients([&] { return (trainable_linear(x, weight, bias) * mix).sum(); }, {x, weight, bias});
}

/// The least seconds of some calls.
template <class F>
double seconds_of(F&& call) {
  double least = INFINITY;
  for (int i = 0; i < 4; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return least;
}

TEST(Matmul, TakesSomeColumnsOfAWiderMatrixAsFastAsAMatrixOfTheirOwn) {
  const at::Tensor dy = at::randn({300, 256}), wide = at::randn({300, 512});
  const at::Tensor columns = wide.narrow(1, 0, 256), own = columns.contiguous();
  EXPECT_LT(relative_difference(weight_gradient(dy, columns, at::kFloat), dy.t().mm(own)), 1e-5);
  // oneDNN's reference code is a thousand times slower.
  EXPECT_LT(seconds_of([&] { weight_gradient(dy, columns, at::kFloat); }),
            30 * seconds_of([&] { weight_gradient(dy, own, at::kFloat); }));
}

TEST(Matmul, EqualsThePlainProductForEveryTypeAndTransposition) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const at::Tensor a = at::randn({7, 33}).to(type), b = at::randn({5, 33}).to(type);
    const at::Tensor expected = a.to(at::kDouble).mm(b.to(at::kDouble).t());
    const double tolerance = type == at::kBFloat16 ? 1e-2 : 1e-5;
    EXPECT_LT(relative_difference(matmul_nt(a, b), expected), tolerance);
    EXPECT_LT(relative_difference(matmul_nn(a, b.t()), expected), tolerance);
    const at::Tensor at = a.t().contiguous().t(),
                     bt = b.t().contiguous().t();  // the same values, columns first
    EXPECT_LT(relative_difference(matmul_nt(at, bt), expected), tolerance);
    EXPECT_LT(relative_difference(matmul_nt(a.narrow(0, 2, 1), b), expected.narrow(0, 2, 1)), tolerance);
    const at::Tensor c = at::randn({7, 5}).to(type);
    EXPECT_LT(relative_difference(add_matmul_nt(c.clone(), a, b), c.to(at::kDouble) + expected), tolerance);
  }
}

TEST(LoraLinear, IsTheSumOfBothPathsWithTheirGradients) {
  const Linear linear = Linear::dense(random_like_shape({4, 3}));
  const at::Tensor x = random_leaf({5, 3}), a = random_leaf({2, 3}), b = random_leaf({4, 2});
  const at::Tensor mix = random_like_shape({5, 4});
  const auto y = [&] { return lora_linear(linear, x, {.a = a, .b = b, .scale = 0.7}); };
  const at::Tensor expected = x.mm(linear.weight().t()) + 0.7 * x.mm(a.t()).mm(b.t());
  EXPECT_LT(relative_difference(y(), expected), 1e-12);
  expect_gradients([&] { return (y() * mix).sum(); }, {x, a, b});
}

TEST(LoraLinear, DropoutMasksTheInputOfAOnly) {
  const Linear linear = Linear::dense(random_like_shape({4, 3}));
  const at::Tensor x = random_leaf({5, 3}), a = random_leaf({2, 3}), b = random_leaf({4, 2});
  const at::Tensor mask = at::randn({5, 3}, at::kDouble).gt(0).to(at::kDouble) * 2;
  const at::Tensor mix = random_like_shape({5, 4});
  const auto y = [&] {
    return lora_linear(linear, x, {.a = a, .b = b, .scale = 1, .mask = [&] { return mask; }});
  };
  EXPECT_LT(relative_difference(y(), x.mm(linear.weight().t()) + (x * mask).mm(a.t()).mm(b.t())), 1e-12);
  expect_gradients([&] { return (y() * mix).sum(); }, {x, a, b});
}

class JointLinears : public testing::Test {
 protected:
  const Linear first_ = Linear::dense(random_like_shape({4, 3})),
               second_ = Linear::dense(random_like_shape({2, 3})),
               frozen_ = Linear::dense(random_like_shape({5, 3}), random_like_shape({5}));
  const at::Tensor x_ = random_leaf({6, 3}), a1_ = random_leaf({2, 3}), b1_ = random_leaf({4, 2}),
                   a2_ = random_leaf({1, 3}), b2_ = random_leaf({2, 1});

  std::vector<at::Tensor> joint() const {
    return joint_linears({{first_, {.a = a1_, .b = b1_, .scale = 0.7}},
                          {frozen_},
                          {second_, {.a = a2_, .b = b2_, .scale = 2}}},
                         x_);
  }
};

TEST_F(JointLinears, AreEachLinearAloneWithTheirGradients) {
  const auto y = joint();
  EXPECT_LT(relative_difference(y[0], lora_linear(first_, x_, {.a = a1_, .b = b1_, .scale = 0.7})), 1e-12);
  EXPECT_LT(relative_difference(y[1], frozen_linear(frozen_, x_)), 1e-12);
  EXPECT_LT(relative_difference(y[2], lora_linear(second_, x_, {.a = a2_, .b = b2_, .scale = 2})), 1e-12);
  const at::Tensor mix1 = random_like_shape({6, 4}), mix2 = random_like_shape({6, 5}),
                   mix3 = random_like_shape({6, 2});
  expect_gradients(
      [&] {
        const auto all = joint();
        return (all[0] * mix1).sum() + (all[1] * mix2).sum() + (all[2] * mix3).sum();
      },
      {x_, a1_, b1_, a2_, b2_});
}

TEST_F(JointLinears, AnOutputThatNobodyUsesMovesNoParameter) {
  run_backward(joint()[0].sum());
  EXPECT_TRUE(a1_.grad().defined());
  EXPECT_FALSE(a2_.grad().defined() || b2_.grad().defined());
  const at::Tensor dx = x_.grad().clone();
  x_.mutable_grad() = at::Tensor();
  run_backward(lora_linear(first_, x_, {.a = a1_, .b = b1_, .scale = 0.7}).sum());
  EXPECT_LT(relative_difference(dx, x_.grad()), 1e-12);
}

TEST(WeightGradient, IsTheTransposedProductForTallAndWideWeights) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor dy = at::randn({9, 7}).to(type), x = at::randn({9, 2}).to(type);
    const at::Tensor expected = dy.to(at::kDouble).t().mm(x.to(at::kDouble));  // [7,2]
    const double tolerance = type == at::kBFloat16 ? 1e-2 : 1e-5;
    EXPECT_LT(relative_difference(weight_gradient(dy, x, at::kFloat), expected), tolerance);
    EXPECT_LT(relative_difference(weight_gradient(x, dy, at::kFloat), expected.t()), tolerance);
  }
}

TEST(RmsNorm, FollowsTheFormulaWithGradientsOfInputAndWeight) {
  const at::Tensor x = random_leaf({3, 6}), weight = random_leaf({6}), mix = random_like_shape({3, 6});
  const auto y = [&] { return rms_norm(x, weight, 1e-5); };
  const at::Tensor expected = x / (x.square().mean(-1, true) + 1e-5).sqrt() * weight;
  EXPECT_LT(relative_difference(y(), expected), 1e-12);
  expect_gradients([&] { return (y() * mix).sum(); }, {x, weight});
}

TEST(SiluMul, FollowsTheFormula) {
  const at::Tensor gate = random_leaf({3, 5}), up = random_leaf({3, 5}), mix = random_like_shape({3, 5});
  EXPECT_LT(relative_difference(silu_mul(gate, up), gate * gate.sigmoid() * up), 1e-12);
  expect_gradients([&] { return (silu_mul(gate, up) * mix).sum(); }, {gate, up});
}

TEST(RotateHalf, TurnsPairsOfHalvesAndItsGradientTurnsBack) {
  const at::Tensor x = random_leaf({3, 2, 4}), angle = random_like_shape({3, 2}),
                   mix = random_like_shape({3, 2, 4});
  const auto y = [&] { return rotate_half(x, angle.cos(), angle.sin()); };
  const at::Tensor x1 = x.narrow(-1, 0, 2), x2 = x.narrow(-1, 2, 2), c = angle.cos().unsqueeze(1),
                   s = angle.sin().unsqueeze(1);
  EXPECT_LT(relative_difference(y(), at::cat({x1 * c - x2 * s, x2 * c + x1 * s}, -1)), 1e-12);
  expect_gradients([&] { return (y() * mix).sum(); }, {x});
}

TEST(CausalAttention, EqualsPlainSoftmaxForGroupedHeadsInEachSegment) {
  const Segments segments({3, 1, 4});
  const at::Tensor q = random_leaf({8, 4, 6}), k = random_leaf({8, 2, 6}), v = random_leaf({8, 2, 6});
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < segments.count(); ++i) {
    const auto cut = [&](const at::Tensor& x) { return x.narrow(0, segments.begin(i), segments.length(i)); };
    parts.push_back(plain_attention(cut(q), cut(k), cut(v)));
  }
  EXPECT_LT(relative_difference(causal_attention(q, k, v, segments), at::cat(parts, 0)), 1e-10);
  const at::Tensor mix = random_like_shape({8, 4, 6});
  expect_gradients([&] { return (causal_attention(q, k, v, segments) * mix).sum(); }, {q, k, v});
}

TEST(CausalAttention, ReadsKeysWhoseHeadsAreNotContiguous) {
  const at::Tensor q = random_like_shape({4, 2, 6}), v = random_like_shape({4, 2, 6});
  const at::Tensor k = random_like_shape({4, 6, 2}).transpose(1, 2);  // last stride 2
  ASSERT_NE(k.stride(-1), 1);
  EXPECT_LT(relative_difference(causal_attention(q, k, v, Segments({4})), plain_attention(q, k, v)), 1e-10);
}

TEST(CachedAttention, LastTokensSeeAllEarlierOnes) {
  const at::Tensor k = random_like_shape({7, 2, 6}), v = random_like_shape({7, 2, 6});
  for (const int64_t tokens : {1, 3, 7}) {
    const at::Tensor q = random_like_shape({tokens, 4, 6});
    EXPECT_LT(relative_difference(cached_attention(q, k, v), plain_attention(q, k, v)), 1e-10) << tokens;
  }
}

TEST(CrossEntropy, IsTheWeightedSumOfLogSoftmaxWhateverTheChunks) {
  const Linear head = Linear::dense(random_like_shape({9, 4}));
  const at::Tensor hidden = random_leaf({7, 4}), targets = at::randint(0, 9, {7}, at::kLong);
  const at::Tensor expected =
      -0.3 * hidden.mm(head.weight().t()).log_softmax(-1).gather(1, targets.unsqueeze(1)).sum();
  for (const int64_t chunk : {1, 3, 7, 100}) {
    const auto loss = [&] {
      return cross_entropy(hidden, {.frozen = head}, targets, {.weight = 0.3, .chunk_rows = chunk});
    };
    EXPECT_NEAR(loss().item<double>(), expected.item<double>(), 1e-10);
    expect_gradients(loss, {hidden});
  }
}

TEST(CrossEntropy, TrainsAnOutputLayerThatIsNotFrozen) {
  const at::Tensor hidden = random_leaf({5, 4}), matrix = random_leaf({9, 4}),
                   targets = at::randint(0, 9, {5}, at::kLong);
  expect_gradients(
      [&] {
        return cross_entropy(hidden, {.frozen = {}, .trainable = matrix}, targets,
                             {.weight = 1, .chunk_rows = 2});
      },
      {hidden, matrix});
}

TEST(AttachBackward, WalkingAGraphTwiceIsAnError) {
  const at::Tensor x = random_leaf({2, 2});
  const at::Tensor y = silu_mul(x, x).sum();
  run_backward(y);
  EXPECT_ANY_THROW(run_backward(y));
}

}  // namespace
}  // namespace excitor
