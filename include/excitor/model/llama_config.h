// The shape of a LLaMA: config.json of Hugging Face, or `model.init` of a configuration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/model/rope.h>
#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

/// Keys of a LLaMA's config.json that say nothing about its shape. They are read so that such a file can
/// stand under model.init as it is, and refused where they ask for what is not done (check()).
struct NeutralLlamaKeys {
  std::optional<std::string> model_type;
  Json architectures;
  std::optional<std::string> dtype;        ///< of stored weights; model.dtype decides
  std::optional<std::string> torch_dtype;  ///< the same in transformers 4
  std::optional<bool> use_cache;
  std::optional<double> attention_dropout;
  std::optional<int64_t> pretraining_tp;  ///< slices that a product was computed in; the sum is the same
  std::optional<int64_t> pad_token_id;    ///< nothing is padded
  std::optional<std::string> transformers_version;
  std::optional<std::string> name_or_path;

  void describe(Describer& d);
  /// Adds what is not done: another architecture, dropout inside the attention.
  void check(const std::string& prefix, Problems& problems) const;
};

/// Names and defaults are transformers' LlamaConfig.
struct LlamaConfig {
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  std::optional<int64_t> num_key_value_heads;  ///< absent: num_attention_heads
  std::optional<int64_t> head_dim;             ///< absent: hidden_size / num_attention_heads
  std::string hidden_act = "silu";
  int64_t max_position_embeddings = 2048;
  double initializer_range = 0.02;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  ///< q, k, v and o
  bool mlp_bias = false;        ///< gate, up and down
  Json bos_token_id = 1;
  Json eos_token_id = 2;  ///< an integer or a list of integers
  double rope_theta = 10000.0;
  Json rope_scaling;     ///< spelling of transformers 4
  Json rope_parameters;  ///< spelling of transformers 5
  NeutralLlamaKeys neutral;

  void describe(Describer& d);

  int64_t query_heads() const { return num_attention_heads; }
  int64_t key_heads() const { return num_key_value_heads.value_or(num_attention_heads); }
  int64_t head_width() const { return head_dim.value_or(hidden_size / num_attention_heads); }
  int64_t query_width() const { return query_heads() * head_width(); }  ///< H·d
  int64_t key_width() const { return key_heads() * head_width(); }      ///< G·d
  std::vector<int64_t> eos_ids() const;
  /// The rotary embedding, resolved from either spelling. Throws ConfigError (see check()).
  RopeConfig rope() const;

  /// Adds what can't be: sizes that are not positive, heads that do not divide, an odd head width, an
  /// activation other than silu, rope settings that are incomplete or unknown, and what NeutralLlamaKeys
  /// refuses.
  void check(const std::string& path, Problems& problems) const;
};

/// Reads `folder`/config.json of Hugging Face, or params.json of Meta (with what only the weights beside it
/// tell: see src/model/meta_config.h). Keys that are not LlamaConfig's are ignored; a model_type other than
/// "llama" is refused. Throws ConfigError (no such folder, neither file, not JSON) or CheckpointError
/// (impossible shape), all faults at once.
LlamaConfig read_llama_config(const std::filesystem::path& folder);

/// Ids that end an answer: eos_token_id of config.json and of generation_config.json, where chat models list
/// further ones. None for a Meta folder before LLaMA 3: the tokenizer's EOS ends an answer in any case.
/// Throws CheckpointError when the latter is damaged.
std::vector<int64_t> read_end_ids(const std::filesystem::path& folder, const LlamaConfig& config);

/// config.json as transformers 4 and 5 read it: rope in both spellings, `torch_dtype` and `dtype`.
Json write_llama_config(const LlamaConfig& config, const std::string& dtype);

}  // namespace excitor
