#include "meta_config.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "meta_weights.h"
#include "model_folder.h"

namespace excitor {
namespace {

/// Keys and defaults of Meta's ModelArgs.
struct MetaParams {
  int64_t dim = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  std::optional<int64_t> n_kv_heads;
  int64_t vocab_size = -1;
  int64_t multiple_of = 256;
  std::optional<double> ffn_dim_multiplier;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  bool use_scaled_rope = false;
  std::optional<double> rope_scaling_factor;
  std::optional<int64_t> max_seq_len;

  void describe(Describer& d) {
    d.field("dim", dim, "Width of the residual stream.", kAtLeastOne);
    d.field("n_layers", n_layers, "Decoder layers.", kAtLeastOne);
    d.field("n_heads", n_heads, "Query heads.", kAtLeastOne);
    d.field("n_kv_heads", n_kv_heads, "Key/value heads; default: n_heads.", kAtLeastOne);
    d.field("vocab_size", vocab_size, "Rows of the embedding; -1: as many as the tokenizer has tokens.");
    d.field("multiple_of", multiple_of, "The feed-forward width is rounded up to it.", kAtLeastOne);
    d.field("ffn_dim_multiplier", ffn_dim_multiplier, "Factor of the feed-forward width.", kPositive);
    d.field("norm_eps", norm_eps, "Epsilon of RMSNorm.", kPositive);
    d.field("rope_theta", rope_theta, "Base of the rotary frequencies.", kPositive);
    d.field("use_scaled_rope", use_scaled_rope, "Rotary frequencies scaled as in LLaMA 3.1.");
    d.field("rope_scaling_factor", rope_scaling_factor, "Factor of that scaling.", kPositive);
    d.field("max_seq_len", max_seq_len, "Context length in tokens.", kAtLeastOne);
  }

  bool has_llama3_vocabulary() const { return vocab_size == 128256; }
};

MetaParams read_params(const Json& file, const std::string& path) {
  const bool nested = file.is_object() && !file.contains("dim") && file.contains("model");
  const Json& json = nested ? file["model"] : file;
  if (!json.is_object())
    throw CheckpointError(fmt::format("{}: found {}, expected an object", path, describe_value(json)));
  Problems problems;
  for (const char* key : {"dim", "n_layers", "n_heads"}) {
    if (!json.contains(key)) problems.add(key, "is missing");
  }
  MetaParams params;
  Json known = Json::object();
  for (const auto& key : list_paths([&](Describer& d) { params.describe(d); })) {
    if (json.contains(key) && !json[key].is_null()) known[key] = json[key];
  }
  read_settings(
      known, [&](Describer& d) { params.describe(d); }, {}, problems);
  if (params.vocab_size < 1 && params.vocab_size != -1)
    problems.add("vocab_size", fmt::format("found {}, expected -1 or at least 1", params.vocab_size));
  problems.throw_if_any(path);
  return params;
}

/// Two thirds of 4·dim, scaled, rounded up.
int64_t feed_forward_width(const MetaParams& p) {
  int64_t width = 8 * p.dim / 3;
  if (p.ffn_dim_multiplier) width = static_cast<int64_t>(*p.ffn_dim_multiplier * static_cast<double>(width));
  return (width + p.multiple_of - 1) / p.multiple_of * p.multiple_of;
}

/// LLaMA 3.1's constants, which stand in Meta's code; 3.2 1B and 3B were made with another factor.
Json scaled_rope(const MetaParams& p) {
  const bool is_3_2 = (p.dim == 2048 && p.n_layers == 16) || (p.dim == 3072 && p.n_layers == 28);
  return {{"rope_type", "llama3"},
          {"factor", p.rope_scaling_factor.value_or(is_3_2 ? 32.0 : 8.0)},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

int64_t context_length(const MetaParams& p) {
  constexpr double kThetaOfLlama3 = 5e5, kEpsilonOfFirst = 1e-6;
  if (p.max_seq_len) return *p.max_seq_len;
  if (p.use_scaled_rope) return 131072;
  if (p.has_llama3_vocabulary() || p.rope_theta == kThetaOfLlama3) return 8192;
  if (p.rope_theta > kThetaOfLlama3) return 16384;
  // LLaMA 1 has the smaller epsilon, but for its largest, which has more heads than LLaMA 2's.
  const bool is_first_65b = p.dim == 8192 && p.n_kv_heads.value_or(p.n_heads) == p.n_heads;
  return p.norm_eps <= kEpsilonOfFirst || is_first_65b ? 2048 : 4096;
}

LlamaConfig to_config(const MetaParams& p) {
  LlamaConfig config;
  config.vocab_size = p.vocab_size;
  config.hidden_size = p.dim;
  config.intermediate_size = feed_forward_width(p);
  config.num_hidden_layers = p.n_layers;
  config.num_attention_heads = p.n_heads;
  config.num_key_value_heads = p.n_kv_heads.value_or(p.n_heads);
  config.max_position_embeddings = context_length(p);
  config.rms_norm_eps = p.norm_eps;
  config.rope_theta = p.rope_theta;
  if (p.use_scaled_rope) config.rope_scaling = scaled_rope(p);
  config.bos_token_id = p.has_llama3_vocabulary() ? Json(128000) : Json();
  // end_of_text, eom_id, eot_id: what ends an answer of the chat models too.
  config.eos_token_id = p.has_llama3_vocabulary() ? Json({128001, 128008, 128009}) : Json();
  return config;
}

/// What only the weights tell; without any, the usual is taken.
void complete_from_weights(LlamaConfig& config, const std::filesystem::path& folder) {
  if (config.vocab_size != -1 && !has_meta_shards(folder)) return;
  const Weights weights = meta_weights(folder, config);
  const StoredWeight& embedding = weights.at("model.embed_tokens.weight");
  if (config.vocab_size == -1) config.vocab_size = embedding.shape.at(0);
  const bool has_head = weights.contains("lm_head.weight");
  config.tie_word_embeddings = !has_head || is_same_weight(embedding, weights.at("lm_head.weight"));
  config.attention_bias = weights.contains("model.layers.0.self_attn.q_proj.bias");
  config.mlp_bias = weights.contains("model.layers.0.mlp.gate_proj.bias");
}

/// Before products of sizes are computed: none may overflow.
void check_params(const MetaParams& p, const std::string& path) {
  constexpr int64_t kLargest = int64_t{1} << 24;
  Problems problems;
  for (const auto& [key, value] :
       {std::pair{"dim", p.dim}, {"n_heads", p.n_heads}, {"multiple_of", p.multiple_of}}) {
    if (value > kLargest) problems.add(key, fmt::format("found {}, expected at most {}", value, kLargest));
  }
  if (p.ffn_dim_multiplier.value_or(1) > 1000) problems.add("ffn_dim_multiplier", "expected at most 1000");
  problems.throw_if_any(path);
}

}  // namespace

LlamaConfig read_meta_config(const std::filesystem::path& folder) {
  const std::string path = (folder / "params.json").string();
  const MetaParams params = read_params(read_json_file(path), path);
  check_params(params, path);
  LlamaConfig config = to_config(params);
  Problems problems;
  LlamaConfig with_any_vocabulary = config;
  with_any_vocabulary.vocab_size = params.vocab_size == -1 ? 1 : params.vocab_size;
  with_any_vocabulary.check("", problems);
  problems.throw_if_any(path);
  complete_from_weights(config, folder);
  config.check("", problems);
  problems.throw_if_any(path);
  return config;
}

}  // namespace excitor
