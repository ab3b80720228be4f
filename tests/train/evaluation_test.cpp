#include <excitor/train/evaluation.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn_like.h>
#include <gtest/gtest.h>

#include <excitor/methods/registry.h>
#include <excitor/train/batch.h>
#include <excitor/train/health.h>

#include "model/tiny_llama.h"
#include "sentences.h"
#include "tensor/numeric_gradient.h"

namespace excitor {
namespace {

class EvaluationTest : public testing::TestWithParam<const char*> {
 protected:
  EvaluationTest() {
    parameters_ = initialise(method_->parameters(base_.model.config()), 5, at::TensorOptions(at::kDouble),
                             [this](const std::string& name) { return base_weight(base_.model, name); });
    bypass_ = method_->bypass(base_.model.config(), parameters_);
  }
  void shake() {
    const at::NoGradGuard no_grad;
    for (const auto& entry : parameters_.entries())
      entry.tensor.detach().add_(at::randn_like(entry.tensor), 0.3);
  }

  LoadedModel base_ = test::tiny_llama(test::tiny_config());
  std::unique_ptr<Method> method_ = make_method(GetParam());
  ParameterSet parameters_;
  std::unique_ptr<ModelBypass> bypass_;
  test::Sentences data_{{9, 4, 12, 7}};
  MicroBatchLimits limits_{.max_tokens = 20};
  std::unique_ptr<Communicator> alone_ = single_process();
};

TEST_P(EvaluationTest, ComparisonIsTheFormulaOverAllLabels) {
  shake();
  const Comparison both = compare_with_base(base_.model, *bypass_, {data_, limits_, *alone_});
  const LabelledBatch all = make_batch(std::vector<int64_t>{0, 1, 2, 3}, data_, at::kCPU);
  const at::NoGradGuard no_grad;
  const auto log_probabilities = [&](const ModelBypass* bypass) {
    const at::Tensor hidden = base_.model.hidden(all.tokens, {.bypass = bypass, .rows = all.rows});
    return at::log_softmax(base_.model.logits(hidden, bypass), -1);
  };
  const at::Tensor base = log_probabilities(nullptr), tuned = log_probabilities(bypass_.get());
  EXPECT_NEAR(both.kl, (base.exp() * (base - tuned)).sum(-1).mean().item<double>(), 1e-10);
  EXPECT_NEAR(both.base_loss, evaluate_loss(base_.model, nullptr, {data_, limits_, *alone_}).loss, 1e-10);
  EXPECT_NEAR(both.tuned_loss, evaluate_loss(base_.model, bypass_.get(), {data_, limits_, *alone_}).loss,
              1e-10);
  EXPECT_EQ(both.label_tokens, all.labels());
  EXPECT_GT(both.kl, 1e-6);
}

TEST_P(EvaluationTest, BeforeTrainingNothingIsForgottenAndNoAttentionMoves) {
  const Comparison both = compare_with_base(base_.model, *bypass_, {data_, limits_, *alone_});
  EXPECT_NEAR(both.kl, 0, 1e-10);
  EXPECT_NEAR(both.tuned_loss, both.base_loss, 1e-10);
  for (const auto& [layer, health] : measure_attention(base_.model, *bypass_, test::random_batch({5, 3}))) {
    for (const double moved : health.moved) EXPECT_NEAR(moved, 0, 1e-6) << layer;
    EXPECT_NEAR(health.added, 0, 1e-6) << layer;
  }
}

TEST_P(EvaluationTest, HealthTellsWhereTheBypassWorks) {
  shake();
  const bool is_excitor = std::string_view(GetParam()) == "excitor";
  const bool is_adapter = std::string_view(GetParam()) == "adapter";
  const auto health = measure_attention(base_.model, *bypass_, test::random_batch({5, 3}));
  ASSERT_EQ(static_cast<int64_t>(health.size()), base_.model.config().num_hidden_layers);
  for (const auto& [layer, attention] : health) {
    ASSERT_EQ(static_cast<int64_t>(attention.moved.size()), base_.model.config().query_heads());
    for (const double moved : attention.moved) {
      EXPECT_LE(moved, 1);
      EXPECT_EQ(moved > 1e-6, is_excitor) << layer;
    }
    EXPECT_EQ(attention.added > 1e-6, is_adapter) << layer;
  }
  EXPECT_EQ(gate_values(parameters_).empty(), !is_excitor && !is_adapter);
}

INSTANTIATE_TEST_SUITE_P(Methods, EvaluationTest, testing::Values("excitor", "adapter", "lora"));

}  // namespace
}  // namespace excitor
