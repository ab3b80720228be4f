#include <excitor/interchange/adapter_terms.h>

#include <cmath>

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interchange/test_adapters.h"

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(AdapterTerms, TheScaleOfALoraFollowsItsSettings) {
  const auto scale = [](const std::string& settings, Projection site) {
    const LoadedAdapter adapter = test::random_adapter("lora", settings);
    return AdapterTerms(adapter).linear(1, site).lora_scale;
  };
  EXPECT_DOUBLE_EQ(scale(R"({"r": 4, "lora_alpha": 6})", Projection::q), 1.5);
  EXPECT_DOUBLE_EQ(scale(R"({"r": 4, "lora_alpha": 6, "use_rslora": true})", Projection::q), 3);
  const std::string patterns =
      R"({"r": 4, "lora_alpha": 6, "rank_pattern": {"q_proj": 3}, "alpha_pattern": {"v_proj": 10}})";
  EXPECT_DOUBLE_EQ(scale(patterns, Projection::q), 2);
  EXPECT_DOUBLE_EQ(scale(patterns, Projection::v), 2.5);
  EXPECT_FALSE(AdapterTerms(test::random_adapter("lora", "{}")).linear(1, Projection::k).any());
}

TEST(AdapterTerms, TheLoraOfAdapterV2IsScaledByOneUnlessItSaysOtherwise) {
  const LoadedAdapter plain = test::random_adapter("adapter_v2", R"({"lora_r": 4})");
  EXPECT_DOUBLE_EQ(AdapterTerms(plain).linear(0, Projection::up).lora_scale, 1);
  const LoadedAdapter scaled = test::random_adapter("adapter_v2", R"({"lora_r": 4, "lora_alpha": 2})");
  EXPECT_DOUBLE_EQ(AdapterTerms(scaled).linear(0, Projection::up).lora_scale, 0.5);
}

TEST(AdapterTerms, ScalesStandWhereTheSettingsSay) {
  const LoadedAdapter input = test::random_adapter("adapter_v2", R"({"scale_position": "input"})");
  const LoadedAdapter output = test::random_adapter("adapter_v2", "{}");
  const LinearTerms before = AdapterTerms(input).linear(2, Projection::down);
  const LinearTerms after = AdapterTerms(output).linear(2, Projection::down);
  EXPECT_EQ(before.input_scale.size(0), 20);
  EXPECT_FALSE(before.output_scale.defined());
  EXPECT_EQ(after.output_scale.size(0), 16);
  EXPECT_FALSE(after.input_scale.defined());
  EXPECT_EQ(after.bias.size(0), 16);
}

TEST(AdapterTerms, PartsAreNamed) {
  const auto parts = [](const char* method, const char* settings) {
    return AdapterTerms(test::random_adapter(method, settings)).parts();
  };
  EXPECT_THAT(parts("lora", "{}"), ElementsAre("LoRA"));
  EXPECT_THAT(parts("excitor", R"({"adapter_layers": 2})"), ElementsAre("Excitor"));
  EXPECT_THAT(parts("adapter", R"({"adapter_layers": 2})"), ElementsAre("prompts"));
  EXPECT_THAT(parts("adapter_v2", R"({"lora_r": 2, "new_gate": true})"),
              UnorderedElementsAre("prompts", "scales", "biases", "norms", "LoRA"));
}

TEST(AdapterTerms, PromptsAreThoseOfTheTopLayers) {
  const LoadedAdapter adapter = test::random_adapter("adapter", R"({"adapter_len": 5, "adapter_layers": 2})");
  const AdapterTerms terms(adapter);
  EXPECT_EQ(terms.prompt_layers(), 2);
  EXPECT_FALSE(terms.prompts(0).prompt.defined());
  EXPECT_EQ(terms.prompts(1).prompt.sizes(), (std::vector<int64_t>{5, 16}));
  EXPECT_EQ(terms.prompts(2).gate.size(0), 4);
}

TEST(AdapterTerms, TrainedNormsReplaceTheBases) {
  const LoadedAdapter adapter = test::random_adapter("adapter_v2", "{}");
  const AdapterTerms terms(adapter);
  EXPECT_TRUE(terms.replaced("model.norm.weight").defined());
  EXPECT_TRUE(terms.replaced("model.layers.1.input_layernorm.weight").defined());
  EXPECT_FALSE(terms.replaced("model.embed_tokens.weight").defined());
}

}  // namespace
}  // namespace excitor
