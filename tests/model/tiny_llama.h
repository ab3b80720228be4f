// Small random models of every shape that matters.
#pragma once

#include <string>
#include <vector>

#include <ATen/ops/randint.h>

#include <excitor/model/checkpoint.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor::test {

/// 3 layers, hidden 16, 4 heads of 4, vocabulary 23. Weights large enough that everything shows in the
/// logits.
inline LlamaConfig tiny_config() {
  LlamaConfig config;
  config.vocab_size = 23;
  config.hidden_size = 16;
  config.intermediate_size = 20;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 64;
  config.initializer_range = 0.3;
  return config;
}

struct NamedConfig {
  std::string name;
  LlamaConfig config;
};

/// What "every base" means in the claims about methods.
inline std::vector<NamedConfig> base_shapes() {
  std::vector<NamedConfig> shapes{
      {"mha", tiny_config()}, {"gqa", tiny_config()}, {"tied", tiny_config()}, {"biased", tiny_config()}};
  shapes[1].config.num_key_value_heads = 2;
  shapes[2].config.tie_word_embeddings = true;
  shapes[3].config.attention_bias = true;
  shapes[3].config.mlp_bias = true;
  shapes[3].config.num_key_value_heads = 1;
  return shapes;
}

inline LoadedModel tiny_llama(const LlamaConfig& config, at::ScalarType type = at::kDouble) {
  return random_llama(config, 7, type);
}

inline TokenBatch random_batch(const std::vector<int64_t>& lengths, int64_t vocab_size = 23) {
  const Segments segments(lengths);
  return {.ids = at::randint(0, vocab_size, {segments.tokens()}, at::kLong), .segments = segments};
}

}  // namespace excitor::test
