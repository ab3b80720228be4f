// Scores with shared prefixes against one pass a text, for bases and bypasses of every kind.
#include <excitor/eval/scoring.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <excitor/methods/registry.h>
#include <excitor/util/random.h>

#include "data/data_test_support.h"
#include "model/tiny_llama.h"
#include "tensor/numeric_gradient.h"

namespace excitor {
namespace {

std::vector<TokenId> random_tokens(int64_t count, Random& random) {
  std::vector<TokenId> ids{1};
  while (std::ssize(ids) < count) ids.push_back(static_cast<TokenId>(3 + random.below(20)));
  return ids;
}

/// Two groups: one whose contexts begin alike, one whose do not; choices of one to four tokens.
std::vector<ChoiceQuestion> random_questions() {
  Random random(4, 0);
  std::vector<ChoiceQuestion> questions;
  const std::vector<TokenId> shared = random_tokens(14, random);
  for (int64_t q = 0; q < 9; ++q) {
    ChoiceQuestion question{
        .context = q < 5 ? shared : std::vector<TokenId>{1}, .choices = {}, .group = q / 5};
    for (int64_t t = 0; t < q % 4 + 1; ++t)
      question.context.push_back(static_cast<TokenId>(random.below(23)));
    for (int64_t c = 0; c < 2 + q % 3; ++c) {
      std::vector<TokenId> choice = random_tokens(2 + (q == 7 ? 0 : c % 4), random);
      choice.erase(choice.begin());
      question.choices.push_back(choice);
    }
    questions.push_back(question);
  }
  return questions;
}

/// Σ log P of the choice in one pass over context and choice.
double score_alone(const Llama& model, const ModelBypass* bypass, const ChoiceQuestion& question,
                   size_t choice) {
  std::vector<int64_t> ids(question.context.begin(), question.context.end());
  const int64_t begin = std::ssize(ids);
  ids.insert(ids.end(), question.choices[choice].begin(), question.choices[choice].end());
  const at::Tensor tokens = at::tensor(at::ArrayRef<int64_t>(ids));
  const at::Tensor hidden =
      model.hidden({.ids = tokens, .segments = Segments({std::ssize(ids)})}, {.bypass = bypass});
  const at::Tensor logs = at::log_softmax(model.logits(hidden, bypass), -1);  // [T,V]
  double sum = 0;
  for (int64_t t = begin; t < std::ssize(ids); ++t)
    sum += logs[t - 1][ids[static_cast<size_t>(t)]].item<double>();
  return sum;
}

class ScoringTest : public testing::TestWithParam<const char*> {};

TEST_P(ScoringTest, SharedPrefixesAndPackingChangeNothing) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, config] : test::base_shapes()) {
    const LoadedModel base = test::tiny_llama(config);
    const auto method = make_method(GetParam());
    ParameterSet parameters =
        initialise(method->parameters(config), 5, at::TensorOptions(at::kDouble),
                   [&](const std::string& weight) { return base_weight(base.model, weight); });
    for (const auto& entry : parameters.entries())
      entry.tensor.detach().add_(at::randn_like(entry.tensor), 0.3);
    const auto bypass = method->bypass(config, parameters);
    const test::ByteTokenizer tokenizer;
    const std::vector<ChoiceQuestion> questions = random_questions();
    for (const ModelBypass* side : std::vector<const ModelBypass*>{nullptr, bypass.get()}) {
      const ScoredModel scored{.model = base.model, .bypass = side, .tokenizer = tokenizer};
      for (const ScoringLimits limits : {ScoringLimits{}, ScoringLimits{.tokens_per_pass = 7},
                                         ScoringLimits{.tokens_per_pass = 30, .reuse_prefixes = false}}) {
        const auto scores = score_choices(scored, questions, limits);
        for (size_t q = 0; q < questions.size(); ++q) {
          for (size_t c = 0; c < questions[q].choices.size(); ++c)
            EXPECT_NEAR(scores[q][c], score_alone(base.model, side, questions[q], c), 1e-9)
                << name << " " << q << " " << c;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ScoringTest, testing::Values("excitor", "adapter", "adapter_v2", "lora"));

TEST(KvCache, BranchesOfASequenceGoTheirOwnWays) {
  const LlamaConfig config = test::tiny_config();
  const Llama model = test::tiny_llama(config).model;
  const at::NoGradGuard no_grad;
  const TokenBatch stem = test::random_batch({6}), left = test::random_batch({3}),
                   right = test::random_batch({2});
  KvCache cache(config.num_hidden_layers, 1);
  model.hidden(stem, {.cache = &cache});
  for (const bool transient : {true, false}) {
    KvCache branch = cache.branch({0, 0}, transient);
    const TokenBatch both{.ids = at::cat({left.ids, right.ids}, 0), .segments = Segments({3, 2})};
    const at::Tensor hidden = model.hidden(both, {.cache = &branch});
    const auto whole = [&](const TokenBatch& end) {
      const at::Tensor ids = at::cat({stem.ids, end.ids}, 0);
      return model.hidden({.ids = ids, .segments = Segments({ids.size(0)})}, {})
          .narrow(0, 6, end.ids.size(0));
    };
    EXPECT_LT(relative_difference(hidden, at::cat({whole(left), whole(right)}, 0)), 1e-12) << transient;
    EXPECT_EQ(cache.length(0), 6);
  }
}

}  // namespace
}  // namespace excitor
