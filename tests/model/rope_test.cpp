#include <excitor/model/rope.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/model/llama_config.h>
#include <excitor/util/error.h>

#include "model/tiny_llama.h"

namespace excitor {
namespace {

double frequency(const at::Tensor& f, int64_t j) {
  return f[j].item<double>();
}

TEST(InverseFrequencies, Llama3KeepsShortWavesDividesLongOnesAndBlendsBetween) {
  // Values of Llama 3.1's settings (head width 128, theta 5e5), computed with transformers.
  const RopeConfig rope{.type = RopeConfig::Type::llama3,
                        .theta = 5e5,
                        .factor = 8,
                        .original_max_position_embeddings = 8192,
                        .low_freq_factor = 1,
                        .high_freq_factor = 4};
  const at::Tensor f = inverse_frequencies(rope, 128, 0, at::kDouble);
  EXPECT_NEAR(frequency(f, 28) / 3.211445994752591e-3, 1, 1e-6);
  EXPECT_NEAR(frequency(f, 29) / 2.166570763503359e-3, 1, 1e-6);
  EXPECT_NEAR(frequency(f, 34) / 1.785078127679964e-4, 1, 1e-6);
  EXPECT_NEAR(frequency(f, 35) / 9.556212353964683e-5, 1, 1e-6);
  EXPECT_NEAR(frequency(f, 63) / 3.068925988914511e-7, 1, 1e-6);
}

TEST(InverseFrequencies, DynamicChangesOnlyBeyondTheTrainedLength) {
  const RopeConfig rope{.type = RopeConfig::Type::dynamic, .max_position_embeddings = 16, .factor = 2};
  const RopeConfig plain{};
  EXPECT_TRUE(
      inverse_frequencies(rope, 8, 16, at::kDouble).equal(inverse_frequencies(plain, 8, 16, at::kDouble)));
  EXPECT_FALSE(
      inverse_frequencies(rope, 8, 17, at::kDouble).equal(inverse_frequencies(plain, 8, 17, at::kDouble)));
}

TEST(RopeSection, BothSpellingsMeanTheSame) {
  LlamaConfig four = test::tiny_config(), five = test::tiny_config();
  four.rope_theta = 5e5;
  four.rope_scaling = {{"type", "linear"}, {"factor", 4.0}};
  five.rope_parameters = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5e5}};
  EXPECT_EQ(four.rope().theta, five.rope().theta);
  EXPECT_EQ(four.rope().factor, five.rope().factor);
  EXPECT_EQ(four.rope().type, five.rope().type);
}

TEST(RopeSection, MissingAndUnknownSettingsAreNamed) {
  LlamaConfig config = test::tiny_config();
  config.rope_scaling = {{"rope_type", "llama3"}, {"factor", 8.0}};
  try {
    config.rope();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("low_freq_factor"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("high_freq_factor"), std::string::npos);
  }
  config.rope_scaling = {{"rope_type", "longrope"}, {"factor", 8.0}};
  EXPECT_THROW(config.rope(), ConfigError);
}

}  // namespace
}  // namespace excitor
