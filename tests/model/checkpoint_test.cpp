#include <excitor/model/checkpoint.h>

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "model/tiny_llama.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

std::vector<NamedTensor> tensors_of(const Llama& model) {
  std::vector<NamedTensor> tensors;
  for (const auto& weight : weight_shapes(model.config()))
    tensors.push_back({weight.name, base_weight(model, weight.name)});
  return tensors;
}

void write_model(const std::filesystem::path& folder, const LlamaConfig& config,
                 const std::vector<NamedTensor>& tensors) {
  write_file_atomically(folder / "config.json", write_llama_config(config, "float32").dump());
  write_safetensors(folder / "model.safetensors", tensors);
}

/// The message of the error that loading ends with.
std::string load_error(const std::filesystem::path& folder) {
  try {
    load_model(folder, at::kFloat);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

TEST(LoadModel, ReadsBackEveryWeightOfEveryShape) {
  for (const auto& [name, config] : test::base_shapes()) {
    const TemporaryFolder folder;
    const Llama model = test::tiny_llama(config, at::kFloat).model;
    write_model(folder.path(), config, tensors_of(model));
    const LoadedModel loaded = load_model(folder.path(), at::kFloat);
    for (const auto& weight : weight_shapes(config)) {
      EXPECT_TRUE(base_weight(loaded.model, weight.name).equal(base_weight(model, weight.name)))
          << name << " " << weight.name;
    }
    EXPECT_EQ(loaded.stored_type, "float32");
  }
}

TEST(LoadModel, FingerprintChangesWithTheContentAndNotWithTheSharding) {
  const TemporaryFolder one, sharded, changed;
  const LlamaConfig config = test::tiny_config();
  auto tensors = tensors_of(test::tiny_llama(config, at::kFloat).model);
  write_model(one.path(), config, tensors);
  write_file_atomically(sharded / "config.json", write_llama_config(config, "float32").dump());
  write_safetensors_folder(sharded.path(), "model", tensors, 4000);
  EXPECT_EQ(load_model(one.path(), at::kFloat).fingerprint,
            load_model(sharded.path(), at::kFloat).fingerprint);
  tensors[3].tensor = tensors[3].tensor.add(1e-3);
  write_model(changed.path(), config, tensors);
  EXPECT_NE(load_model(one.path(), at::kFloat).fingerprint,
            load_model(changed.path(), at::kFloat).fingerprint);
}

TEST(LoadModel, MissingAndMisshapenTensorsAreNamedTogether) {
  const TemporaryFolder folder;
  const LlamaConfig config = test::tiny_config();
  auto tensors = tensors_of(test::tiny_llama(config, at::kFloat).model);
  std::erase_if(tensors,
                [](const NamedTensor& t) { return t.name == "model.layers.1.self_attn.k_proj.weight"; });
  for (auto& [name, tensor] : tensors) {
    if (name == "model.norm.weight") tensor = at::zeros({17});
  }
  write_model(folder.path(), config, tensors);
  const std::string message = load_error(folder.path());
  expect_contains(message, "model.layers.1.self_attn.k_proj.weight is missing");
  expect_contains(message, "model.norm.weight in model.safetensors has shape [17]");
}

TEST(LoadModel, QuantisedWeightsAreRefused) {
  const TemporaryFolder folder;
  const LlamaConfig config = test::tiny_config();
  auto tensors = tensors_of(test::tiny_llama(config, at::kFloat).model);
  tensors[2].tensor = tensors[2].tensor.to(at::kChar);
  write_model(folder.path(), config, tensors);
  expect_contains(load_error(folder.path()), tensors[2].name);
}

TEST(LoadModel, NamesWithoutTheModelsPrefixAreTheSameBase) {
  for (const bool tied : {false, true}) {
    const TemporaryFolder whole, inner;
    LlamaConfig config = test::tiny_config();
    config.tie_word_embeddings = tied;
    auto tensors = tensors_of(test::tiny_llama(config, at::kFloat).model);
    write_model(whole.path(), config, tensors);
    for (NamedTensor& tensor : tensors) {
      if (tensor.name.starts_with("model.")) tensor.name = tensor.name.substr(6);
    }
    write_model(inner.path(), config, tensors);
    EXPECT_EQ(load_model(inner.path(), at::kFloat).fingerprint,
              load_model(whole.path(), at::kFloat).fingerprint);
  }
}

TEST(LoadModel, EightBitFloatsAreRefused) {
  const TemporaryFolder folder;
  const LlamaConfig config = test::tiny_config();
  auto tensors = tensors_of(test::tiny_llama(config, at::kFloat).model);
  tensors[2].tensor = tensors[2].tensor.to(at::kFloat8_e4m3fn);
  write_model(folder.path(), config, tensors);
  expect_contains(load_error(folder.path()), tensors[2].name + " has type F8_E4M3");
}

TEST(ReadLlamaConfig, QuantisedModelsAreRefusedByTheirMethod) {
  const TemporaryFolder folder;
  const LlamaConfig config = test::tiny_config();
  write_model(folder.path(), config, tensors_of(test::tiny_llama(config, at::kFloat).model));
  Json json = read_json_file(folder / "config.json");
  json["quantization_config"] = {{"quant_method", "compressed-tensors"}};
  write_file_atomically(folder / "config.json", json.dump());
  expect_contains(load_error(folder.path()),
                  "quantization_config: the weights are quantised (compressed-tensors)");
  json["quantization_config"] = nullptr;
  write_file_atomically(folder / "config.json", json.dump());
  EXPECT_EQ(load_error(folder.path()), "");
}

TEST(ReadLlamaConfig, EveryImpossibleValueIsReportedAtOnce) {
  const TemporaryFolder folder;
  Json json = write_llama_config(test::tiny_config(), "float32");
  json["num_attention_heads"] = 5;
  json["head_dim"] = 3;
  json["hidden_act"] = "gelu";
  json["eos_token_id"] = 99;
  json["model_type"] = "mistral";
  write_file_atomically(folder / "config.json", json.dump());
  const std::string message = load_error(folder.path());
  for (const char* part : {"head_dim", "gelu", "eos_token_id", "mistral", "num_key_value_heads"})
    expect_contains(message, part);
}

TEST(ReadLlamaConfig, AMissingFolderOrFileIsAWrongConfiguration) {
  const TemporaryFolder folder;
  EXPECT_THROW(read_llama_config(folder / "nowhere"), ConfigError);
  EXPECT_THROW(read_llama_config(folder.path()), ConfigError);
  write_file_atomically(folder / "config.json", "{\"hidden_size\": 16}");
  expect_contains(load_error(folder.path()), "num_hidden_layers");
}

TEST(ReadLlamaConfig, SizesThatWouldOverflowAreRefused) {
  const TemporaryFolder folder;
  Json json = write_llama_config(test::tiny_config(), "float32");
  json["vocab_size"] = int64_t{1} << 62;
  json["hidden_size"] = int64_t{1} << 62;
  write_file_atomically(folder / "config.json", json.dump());
  expect_contains(load_error(folder.path()), "vocab_size");
}

}  // namespace
}  // namespace excitor
