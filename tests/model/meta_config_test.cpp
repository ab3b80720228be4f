// params.json of Meta's folders as a configuration. Values: params.json of the released models.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/model/checkpoint.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

using testing::HasSubstr;

LlamaConfig read_params(const std::string& json) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "params.json", json);
  return read_llama_config(folder.path());
}

std::string refusal(const std::string& json) {
  try {
    read_params(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MetaConfig, FeedForwardWidthIsThatOfTheReleasedModels) {
  const auto width = [](int64_t dim, int64_t heads, int64_t multiple_of, const std::string& more = "") {
    return read_params(
               fmt::format(R"({{"dim":{},"n_layers":2,"n_heads":{},"multiple_of":{},"vocab_size":32000{}}})",
                           dim, heads, multiple_of, more))
        .intermediate_size;
  };
  EXPECT_EQ(width(4096, 32, 256), 11008);
  EXPECT_EQ(width(5120, 40, 256), 13824);
  EXPECT_EQ(width(6656, 52, 256), 17920);
  EXPECT_EQ(width(8192, 64, 256), 22016);
  EXPECT_EQ(width(8192, 64, 4096, R"(,"ffn_dim_multiplier":1.3)"), 28672);
  EXPECT_EQ(width(4096, 32, 1024, R"(,"ffn_dim_multiplier":1.3)"), 14336);
  EXPECT_EQ(width(2048, 32, 256, R"(,"ffn_dim_multiplier":1.5)"), 8192);
}

TEST(MetaConfig, Llama1And2) {
  const LlamaConfig first = read_params(
      R"({"dim":4096,"multiple_of":256,"n_heads":32,"n_layers":32,"norm_eps":1e-06,"vocab_size":32000})");
  EXPECT_EQ(first.max_position_embeddings, 2048);
  EXPECT_EQ(first.rms_norm_eps, 1e-6);
  EXPECT_EQ(first.key_heads(), 32);
  EXPECT_TRUE(first.eos_ids().empty());
  const LlamaConfig second = read_params(
      R"({"dim":8192,"multiple_of":4096,"ffn_dim_multiplier":1.3,"n_heads":64,"n_kv_heads":8,"n_layers":80,)"
      R"("norm_eps":1e-05,"vocab_size":32000})");
  EXPECT_EQ(second.max_position_embeddings, 4096);
  EXPECT_EQ(second.key_heads(), 8);
  const LlamaConfig first_65b = read_params(
      R"({"dim":8192,"multiple_of":256,"n_heads":64,"n_layers":80,"norm_eps":1e-05,"vocab_size":32000})");
  EXPECT_EQ(first_65b.max_position_embeddings, 2048);
}

TEST(MetaConfig, Llama3) {
  const std::string llama3 =
      R"({"dim":4096,"n_layers":32,"n_heads":32,"n_kv_heads":8,"vocab_size":128256,"multiple_of":1024,)"
      R"("ffn_dim_multiplier":1.3,"norm_eps":1e-05,"rope_theta":500000.0)";
  const LlamaConfig first = read_params(llama3 + "}");
  EXPECT_EQ(first.max_position_embeddings, 8192);
  EXPECT_EQ(first.rope().type, RopeConfig::Type::standard);
  EXPECT_EQ(first.eos_ids(), (std::vector<int64_t>{128001, 128008, 128009}));
  const LlamaConfig scaled = read_params(llama3 + R"(,"use_scaled_rope":true})");
  EXPECT_EQ(scaled.max_position_embeddings, 131072);
  EXPECT_EQ(scaled.rope().type, RopeConfig::Type::llama3);
  EXPECT_EQ(scaled.rope().factor, 8);
  const LlamaConfig small = read_params(
      R"({"dim":2048,"ffn_dim_multiplier":1.5,"multiple_of":256,"n_heads":32,"n_kv_heads":8,"n_layers":16,)"
      R"("norm_eps":1e-05,"rope_theta":500000.0,"use_scaled_rope":true,"vocab_size":128256})");
  EXPECT_EQ(small.rope().factor, 32);
}

TEST(MetaConfig, FaultsAreNamedTogether) {
  const std::string message = refusal(R"({"dim":-1,"n_heads":2.5,"norm_eps":0})");
  for (const char* part : {"params.json", "dim", "n_heads", "n_layers", "norm_eps"})
    EXPECT_THAT(message, HasSubstr(part));
  EXPECT_THAT(refusal(R"({"dim":64,"n_layers":1,"n_heads":4,"vocab_size":0})"), HasSubstr("vocab_size"));
  EXPECT_THAT(refusal(R"({"dim":1000000000000,"n_layers":1,"n_heads":4})"), HasSubstr("dim"));
  EXPECT_THAT(refusal(R"({"dim":64,"n_layers":1,"n_heads":4})"), HasSubstr("no consolidated.00.pth"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected an object"));
}

TEST(ModelFolder, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "consolidated.00.pth", "");
  EXPECT_THROW(read_llama_config(folder.path()), ConfigError);
  std::filesystem::create_directory(folder / "original");
  write_file_atomically(folder / "original/params.json", "{}");
  try {
    read_llama_config(folder.path());
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("give " + (folder / "original").string()));
  }
}

}  // namespace
}  // namespace excitor
