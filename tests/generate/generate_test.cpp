#include <excitor/generate/generate.h>

#include <map>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "../../src/generate/answer_stream.h"
#include "data/data_test_support.h"
#include "model/tiny_llama.h"

namespace excitor {
namespace {

TEST(SampleToken, GreedyTakesTheFirstOfTheBest) {
  EXPECT_EQ(sample_token(at::tensor({1.f, 3.f, 3.f}), {}, {}, 0.9), 1);
}

TEST(SampleToken, FrequenciesAreTheSoftmaxAtTheTemperature) {
  const SamplingSettings settings{.temperature = 2};
  const at::Tensor logits = at::tensor({0.f, 2.f, 1.f});
  std::map<TokenId, int> counts;
  constexpr int kDraws = 1000;
  for (int i = 0; i < kDraws; ++i) ++counts[sample_token(logits, {}, settings, (i + 0.5) / kDraws)];
  const double total = 1 + std::exp(1.0) + std::exp(0.5);
  EXPECT_NEAR(counts[0], kDraws / total, 2);
  EXPECT_NEAR(counts[1], kDraws * std::exp(1.0) / total, 2);
}

TEST(SampleToken, TopPKeepsTheSmallestSetThatReachesIt) {
  const at::Tensor logits = at::tensor({std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  EXPECT_EQ(sample_token(logits, {}, {.temperature = 1, .top_p = 0.5}, 0.999), 0);
  EXPECT_EQ(sample_token(logits, {}, {.temperature = 1, .top_p = 0.6}, 0.999), 1);
  EXPECT_EQ(sample_token(logits, {}, {.temperature = 1, .top_p = 1}, 0.999), 2);
  EXPECT_EQ(sample_token(logits, {}, {.temperature = 1, .top_p = 0}, 0.999), 0);
}

TEST(SampleToken, TopKKeepsTheBest) {
  EXPECT_EQ(sample_token(at::tensor({1.f, 2.f, 3.f}), {}, {.temperature = 100, .top_k = 1}, 0.999), 2);
}

TEST(SampleToken, RepetitionPenaltyMakesSeenTokensLessLikely) {
  EXPECT_EQ(sample_token(at::tensor({2.f, 1.5f}), {0}, {.repetition_penalty = 2}, 0), 1);
  EXPECT_EQ(sample_token(at::tensor({-1.f, -1.5f}), {0}, {.repetition_penalty = 2}, 0), 1);
}

TEST(AnswerStream, HoldsBackTheStartOfAStopString) {
  std::string shown;
  AnswerStream stream({"###"}, [&](std::string_view text) { shown += text; });
  EXPECT_FALSE(stream.update("a #"));
  EXPECT_EQ(shown, "a ");
  EXPECT_FALSE(stream.update("a #b"));
  EXPECT_EQ(shown, "a #b");
  EXPECT_TRUE(stream.update("a #b###c"));
  stream.finish();
  EXPECT_EQ(shown, "a #b");
  EXPECT_EQ(stream.text(), "a #b");
}

TEST(AnswerStream, ShowsOnlyCompleteCharacters) {
  std::string shown;
  AnswerStream stream({}, [&](std::string_view text) { shown += text; });
  stream.update("x\xEF\xBF\xBD");  // bytes that form no character yet
  EXPECT_EQ(shown, "x");
  stream.update("xä");
  EXPECT_EQ(shown, "xä");
}

class GeneratorTest : public testing::Test {
 protected:
  static LlamaConfig config() {
    LlamaConfig config = test::tiny_config();
    config.vocab_size = 259;
    return config;
  }
  LoadedModel base_ = test::tiny_llama(config(), at::kFloat);
  test::ByteTokenizer tokenizer_;
  Generator generator_{.model = base_.model, .bypass = nullptr, .tokenizer = tokenizer_};
};

TEST_F(GeneratorTest, GreedyTokensAreTheArgmaxOfAFullPass) {
  std::vector<TokenId> ids = tokenizer_.encode_prompt("hello");
  const Generation generation = generator_.generate(ids, {.max_new_tokens = 12});
  for (const TokenId token : generation.token_ids) {
    const TokenBatch batch{.ids = at::tensor(at::ArrayRef<TokenId>(ids)).to(at::kLong),
                           .segments = Segments({static_cast<int64_t>(ids.size())})};
    const at::Tensor logits = base_.model.logits(base_.model.hidden(batch, {}), nullptr);
    EXPECT_EQ(logits[-1].argmax().item<int64_t>(), token);
    ids.push_back(token);
  }
}

TEST_F(GeneratorTest, TheSeedDecidesASample) {
  const auto prompt = tokenizer_.encode_prompt("hello");
  const SamplingSettings one{.max_new_tokens = 20, .temperature = 1, .seed = 1},
      two{.max_new_tokens = 20, .temperature = 1, .seed = 2};
  EXPECT_EQ(generator_.generate(prompt, one).token_ids, generator_.generate(prompt, one).token_ids);
  EXPECT_NE(generator_.generate(prompt, one).token_ids, generator_.generate(prompt, two).token_ids);
}

TEST_F(GeneratorTest, EachOfSeveralPromptsDrawsItsOwnNumbers) {
  const auto prompt = tokenizer_.encode_prompt("hello");
  SamplingSettings first{.max_new_tokens = 20, .temperature = 1, .seed = 1}, second = first;
  second.prompt_index = 1;
  EXPECT_EQ(generator_.generate(prompt, second).token_ids, generator_.generate(prompt, second).token_ids);
  EXPECT_NE(generator_.generate(prompt, first).token_ids, generator_.generate(prompt, second).token_ids);
}

}  // namespace
}  // namespace excitor
