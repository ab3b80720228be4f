#include <excitor/model/llama_config.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace excitor {

void LlamaConfig::describe(Describer& d) {
  d.field("vocab_size", vocab_size, "Rows of the embedding.", kAtLeastOne);
  d.field("hidden_size", hidden_size, "Width of the residual stream.", kAtLeastOne);
  d.field("intermediate_size", intermediate_size, "Width of the feed-forward block.", kAtLeastOne);
  d.field("num_hidden_layers", num_hidden_layers, "Decoder layers.", kAtLeastOne);
  d.field("num_attention_heads", num_attention_heads, "Query heads.", kAtLeastOne);
  d.field("num_key_value_heads", num_key_value_heads,
          "Key/value heads (grouped-query attention); default: num_attention_heads.", kAtLeastOne);
  d.field("head_dim", head_dim, "Width of a head; default: hidden_size / num_attention_heads.", kAtLeastOne);
  d.field("hidden_act", hidden_act, "Activation of the feed-forward block; only \"silu\".");
  d.field("max_position_embeddings", max_position_embeddings, "Context length in tokens.", kAtLeastOne);
  d.field("initializer_range", initializer_range, "Standard deviation of random weights.", kNonNegative);
  d.field("rms_norm_eps", rms_norm_eps, "Epsilon of RMSNorm.", kPositive);
  d.field("tie_word_embeddings", tie_word_embeddings, "The output layer is the embedding.");
  d.field("attention_bias", attention_bias, "Biases on q, k, v and o.");
  d.field("mlp_bias", mlp_bias, "Biases on gate, up and down.");
  d.field("bos_token_id", bos_token_id, "Id that begins a text.");
  d.field("eos_token_id", eos_token_id, "Id, or list of ids, that ends a text.");
  d.field("rope_theta", rope_theta, "Base of the rotary frequencies.", kPositive);
  d.field("rope_scaling", rope_scaling, "Scaling of the rotary frequencies, as transformers 4 writes it.");
  d.field("rope_parameters", rope_parameters,
          "Theta and scaling of the rotary frequencies, as transformers 5 writes it.");
  neutral.describe(d);
}

void NeutralLlamaKeys::describe(Describer& d) {
  d.field("model_type", model_type, "Only \"llama\".");
  d.field("architectures", architectures, "Only [\"LlamaForCausalLM\"].");
  d.field("dtype", dtype, "Not used: model.dtype is the weights' type.");
  d.field("torch_dtype", torch_dtype, "Not used: model.dtype is the weights' type.");
  d.field("use_cache", use_cache, "Not used: generation always has a cache, training none.");
  d.field("attention_dropout", attention_dropout, "Only 0.", kProbability);
  d.field("pretraining_tp", pretraining_tp, "Not used: products are computed in one piece.", kAtLeastOne);
  d.field("pad_token_id", pad_token_id, "Not used: nothing is padded.");
  d.field("transformers_version", transformers_version, "Not used.");
  d.field("_name_or_path", name_or_path, "Not used.");
}

void NeutralLlamaKeys::check(const std::string& prefix, Problems& problems) const {
  if (model_type && *model_type != "llama")
    problems.add(
        prefix + "model_type",
        fmt::format("found \"{}\", expected \"llama\": only LLaMA models can be loaded", *model_type));
  const bool is_list = architectures.is_null() || architectures.is_array();
  const bool is_llama = is_list && std::ranges::all_of(architectures, [](const Json& name) {
                          return name.is_string() && name.get<std::string>().starts_with("Llama");
                        });
  if (!is_llama)
    problems.add(prefix + "architectures",
                 fmt::format("found {}, expected [\"LlamaForCausalLM\"]", architectures.dump()));
  if (attention_dropout.value_or(0) != 0)
    problems.add(
        prefix + "attention_dropout",
        fmt::format("found {}, expected 0: there is no dropout inside the attention", *attention_dropout));
}

std::vector<int64_t> LlamaConfig::eos_ids() const {
  if (eos_token_id.is_number_integer()) return {eos_token_id.get<int64_t>()};
  if (eos_token_id.is_array()) return eos_token_id.get<std::vector<int64_t>>();
  return {};
}

}  // namespace excitor
