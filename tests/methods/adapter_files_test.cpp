#include <excitor/methods/adapter_files.h>

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "model/tiny_llama.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

/// The default method of a name on a 32-layer LLaMA-7B.
int64_t llama_7b_parameters(const std::string& method, const std::string& settings) {
  auto made = make_method(method);
  Problems problems;
  read_settings(
      Json::parse(settings), [&](Describer& d) { made->describe(d); }, {}, problems);
  problems.throw_if_any(settings);
  return count_parameters(made->parameters(LlamaConfig()));
}

TEST(Parameters, CountsOfLlama7BAreThePapers) {
  EXPECT_EQ(llama_7b_parameters("excitor", "{}"), 7'618'560 + 960);
  EXPECT_EQ(llama_7b_parameters("lora", R"({"r": 8, "target_modules": ["q_proj", "v_proj"]})"), 4'194'304);
  EXPECT_EQ(llama_7b_parameters("full", "{}"), 6'738'415'616);
}

/// Modules of a LoRA with these targets on the three-layer model.
int64_t lora_sites(const std::string& target_modules) {
  auto method = make_method("lora");
  Problems problems;
  read_settings(
      Json::parse("{\"target_modules\": " + target_modules + "}"), [&](Describer& d) { method->describe(d); },
      {}, problems);
  method->check(test::tiny_config(), "method", problems);
  problems.throw_if_any("test");
  return static_cast<int64_t>(method->parameters(test::tiny_config()).size()) / 2;
}

TEST(TargetModules, FollowPeftsRules) {
  EXPECT_EQ(lora_sites(R"(["q_proj", "v_proj"])"), 6);
  EXPECT_EQ(lora_sites(R"(["mlp.up_proj"])"), 3);
  EXPECT_EQ(lora_sites(R"(["model.layers.1.self_attn.k_proj"])"), 1);
  EXPECT_EQ(lora_sites(R"("all-linear")"), 21);
  EXPECT_EQ(lora_sites(R"(".*\\.(0|2)\\.self_attn\\.(q|k)_proj")"), 4);
  EXPECT_THROW(lora_sites(R"(["query"])"), ConfigError);
  EXPECT_THROW(lora_sites(R"("q_proj")"), ConfigError);  // an expression is matched against the whole name
  EXPECT_THROW(lora_sites(R"("([")"), ConfigError);
  EXPECT_THROW(lora_sites("[]"), ConfigError);
  EXPECT_THROW(lora_sites("[3]"), ConfigError);
}

/// The same with these keys of a method section.
int64_t lora_sites_of(const std::string& keys) {
  return lora_sites(R"(["q_proj", "model.layers.0.mlp.up_proj"], )" + keys);
}

TEST(TargetModules, AreNarrowedByLayersAndExclusions) {
  EXPECT_EQ(lora_sites_of(R"("layers_to_transform": [1, 2])"), 3);  // a whole path counts in every layer
  EXPECT_EQ(lora_sites_of(R"("exclude_modules": ["self_attn.q_proj"])"), 1);
  EXPECT_EQ(lora_sites_of(R"("exclude_modules": ".*\\.1\\..*")"), 3);
  EXPECT_EQ(lora_sites_of(R"("layers_to_transform": 1)"), 2);
  EXPECT_THROW(lora_sites_of(R"("layers_to_transform": [3])"), ConfigError);
  EXPECT_THROW(lora_sites_of(R"("layers_to_transform": [1.5])"), ConfigError);
  EXPECT_THROW(lora_sites(R"("all-linear", "layers_to_transform": [1])"), ConfigError);
  EXPECT_THROW(lora_sites_of(R"("exclude_modules": ["query"])"), ConfigError);
  EXPECT_THROW(lora_sites_of(R"("exclude_modules": ".*")"), ConfigError);
}

TEST(LoraSettings, OfAConfigurationAreStricterThanThoseOfAnAdapter) {
  EXPECT_THROW(lora_sites_of(R"("lora_alpha": 0)"), ConfigError);
  EXPECT_THROW(lora_sites_of(R"("alpha_pattern": {"q_proj": -1})"), ConfigError);
  EXPECT_THROW(lora_sites_of(R"("rank_pattern": {"query": 2})"), ConfigError);
}

TEST(ExcitorSettings, SmallModelsAreAdaptedInAllLayersByDefault) {
  auto method = make_method("excitor");
  method->resolve(test::tiny_config());
  EXPECT_EQ(write_settings([&](Describer& d) { method->describe(d); })["adapter_layers"], 3);
  auto large = make_method("excitor");
  large->resolve(LlamaConfig());
  EXPECT_EQ(write_settings([&](Describer& d) { large->describe(d); })["adapter_layers"], 30);
}

/// A small LoRA's folder, to be damaged.
class AdapterFiles : public testing::Test {
 protected:
  AdapterFiles() {
    auto method = make_method("lora");
    parameters_ = initialise(method->parameters(config_), 1, at::TensorOptions(at::kFloat), nullptr);
    save_adapter(folder_ / "adapter", *method, parameters_, {.base_fingerprint = "abc"});
  }
  std::filesystem::path path() const { return folder_ / "adapter"; }
  std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : parameters_.entries()) tensors.push_back({name, tensor.detach()});
    return tensors;
  }
  std::string error(const AdapterExpectation& expected = {}) const {
    try {
      load_adapter(path(), config_, expected);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  void expect_error(const std::string& part) const {
    EXPECT_NE(error().find(part), std::string::npos) << error();
  }

  LlamaConfig config_ = test::tiny_config();
  TemporaryFolder folder_;
  ParameterSet parameters_;
};

TEST_F(AdapterFiles, AMissingTensorIsNamed) {
  auto some = tensors();
  const std::string name = some.back().name;
  some.pop_back();
  write_safetensors(path() / "adapter_model.safetensors", some);
  expect_error(name + " is missing");
}

TEST_F(AdapterFiles, ALeftOverTensorIsNamed) {
  auto more = tensors();
  more.push_back({"base_model.model.model.layers.9.extra", at::zeros({1})});
  write_safetensors(path() / "adapter_model.safetensors", more);
  expect_error("base_model.model.model.layers.9.extra is left over");
}

TEST_F(AdapterFiles, AnotherShapeIsNamed) {
  auto misshapen = tensors();
  misshapen[0].tensor = at::zeros({3, 3});
  write_safetensors(path() / "adapter_model.safetensors", misshapen);
  expect_error(misshapen[0].name + " has shape [3, 3]");
}

TEST_F(AdapterFiles, AnotherBaseIsAnErrorUnlessForced) {
  EXPECT_NE(error({.base_fingerprint = "xyz"}).find("base model"), std::string::npos);
  EXPECT_EQ(error({.base_fingerprint = "xyz", .force = true}), "no error");
  EXPECT_EQ(error({.base_fingerprint = "abc"}), "no error");
}

TEST_F(AdapterFiles, UnknownTypesAndSettingsAreErrors) {
  write_file_atomically(path() / "adapter_config.json", R"({"peft_type": "PREFIX_TUNING"})");
  expect_error("PREFIX_TUNING");
  write_file_atomically(path() / "adapter_config.json", R"({"peft_type": "LORA", "r": 0})");
  expect_error("r");
  write_file_atomically(path() / "adapter_config.json",
                        R"({"peft_type": "LORA", "use_dora": true, "bias": "all"})");
  expect_error("use_dora");
  expect_error("bias");
  write_file_atomically(path() / "adapter_config.json",
                        R"({"peft_type": "LORA", "rank_pattern": {"q_prj": 2, "v_proj": 1.5, "(": 2}})");
  expect_error("rank_pattern.v_proj");
  expect_error("rank_pattern.(");
  write_file_atomically(path() / "adapter_config.json", R"({"r": 4})");
  expect_error("peft_type");
}

}  // namespace
}  // namespace excitor
