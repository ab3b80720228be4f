#include <excitor/interchange/hugging_face.h>

#include <map>
#include <set>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/adapter_terms.h>
#include <excitor/tensor/dtype.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>

#include "merge.h"
#include "refusals.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

bool is_attention(Projection site) {
  return site == Projection::q || site == Projection::k || site == Projection::v || site == Projection::o;
}

/// "model.layers.3.mlp.up_proj" -> its place.
struct LinearPlace {
  int64_t layer;
  Projection site;
};

std::map<std::string, LinearPlace> linear_places(const LlamaConfig& config) {
  std::map<std::string, LinearPlace> places;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (int i = 0; i < kProjections; ++i) {
      const auto site = static_cast<Projection>(i);
      places[fmt::format("model.layers.{}.{}", layer, projection_name(site))] = {layer, site};
    }
  }
  return places;
}

/// The base's shape, with biases where the adapter adds some.
LlamaConfig merged_config(const LlamaConfig& base, const AdapterTerms& terms) {
  LlamaConfig config = base;
  for (const auto& [name, place] : linear_places(base)) {
    if (!terms.linear(place.layer, place.site).bias.defined()) continue;
    (is_attention(place.site) ? config.attention_bias : config.mlp_bias) = true;
  }
  return config;
}

/// The weights of the merged model by name.
class MergedWeights {
 public:
  MergedWeights(const MergeJob& job, const AdapterTerms& terms)
      : job_(job), terms_(terms), places_(linear_places(job.base_config)) {
    for (const WeightShape& weight : weight_shapes(job.base_config)) in_base_.insert(weight.name);
  }

  at::Tensor merged(const std::string& name) const {
    const std::string module = name.substr(0, name.rfind('.'));
    const auto place = places_.find(module);
    if (place != places_.end())
      return merged_linear(name, module, terms_.linear(place->second.layer, place->second.site));
    const at::Tensor replaced = terms_.replaced(name);
    return replaced.defined() ? replaced.to(type_of(name)) : base(name);
  }

  /// The type that the base stores the weight in; of a bias that the base does not have, its matrix's.
  at::ScalarType type_of(const std::string& name) const {
    return job_.base_weights.at(in_base_.contains(name) ? name : matrix_of(name)).parts().type();
  }

 private:
  static std::string matrix_of(const std::string& bias) {
    return bias.substr(0, bias.rfind('.')) + ".weight";
  }

  at::Tensor base(const std::string& name) const {
    return load_weight(job_.base_weights.at(name), type_of(name));
  }

  at::Tensor merged_linear(const std::string& name, const std::string& module,
                           const LinearTerms& terms) const {
    if (name.ends_with(".weight")) {
      const at::Tensor weight = base(name);  // [out,in]
      return terms.any() ? merged_weight(weight, terms) : weight;
    }
    const at::Tensor bias = in_base_.contains(name) ? base(name) : at::Tensor();  // [out]
    const at::Tensor merged = merged_bias(bias, terms);
    const auto type = type_of(name);
    return merged.defined() ? merged.to(type)
                            : at::zeros({job_.base_weights.at(module + ".weight").shape[0]}, type);
  }

  const MergeJob& job_;
  const AdapterTerms& terms_;
  std::map<std::string, LinearPlace> places_;
  std::set<std::string> in_base_;
};

/// config.json of the base with what LlamaConfig knows written anew: keys of the base that do not matter here
/// stay.
Json merged_config_json(const fs::path& base_folder, const LlamaConfig& config, at::ScalarType type) {
  const fs::path file = base_folder / "config.json";
  Json json = fs::exists(file) ? read_json_file(file) : Json::object();
  json.update(write_llama_config(config, dtype_name(type)));
  return json;
}

void write_generation_config(const fs::path& base_folder, const LlamaConfig& config, const fs::path& folder) {
  const fs::path file = base_folder / "generation_config.json";
  const Json ids = {{"bos_token_id", config.bos_token_id}, {"eos_token_id", config.eos_token_id}};
  write_file_atomically(folder / "generation_config.json",
                        fs::exists(file) ? read_file(file) : ids.dump(2) + "\n");
}

std::string model_card(const MergeJob& job) {
  return fmt::format(
      "---\n"
      "library_name: transformers\n"
      "base_model: {0}\n"
      "pipeline_tag: text-generation\n"
      "---\n\n"
      "# {1}, merged\n\n"
      "The weights of `{0}` with an adapter of method {1} merged into them (in fp32, then rounded to the "
      "base's "
      "type). Prompt template: `{2}`.\n",
      job.base_folder.string(), job.adapter.method->name(), job.adapter.origin.template_text());
}

}  // namespace

void export_hugging_face(const fs::path& folder, const MergeJob& job) {
  const at::NoGradGuard no_grad;
  const AdapterTerms terms(job.adapter);
  require_mergeable(terms);
  const LlamaConfig config = merged_config(job.base_config, terms);
  const MergedWeights weights(job, terms);
  std::vector<PlannedTensor> tensors;
  for (const auto& [name, shape] : weight_shapes(config))
    tensors.push_back(
        {name, weights.type_of(name), shape, [&weights, name] { return weights.merged(name); }});
  const auto type = weights.type_of("model.layers.0.self_attn.q_proj.weight");
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    write_file_atomically(temporary / "config.json",
                          merged_config_json(job.base_folder, config, type).dump(2) + "\n");
    write_generation_config(job.base_folder, config, temporary);
    write_file_atomically(temporary / "README.md", model_card(job));
    copy_tokenizer(job.base_folder, temporary);
    write_safetensors_folder(temporary, "model", tensors, job.max_shard_bytes);
  });
}

at::Tensor probe_logits(Llama& model, const ModelBypass* bypass) {
  constexpr int64_t kTokens = 16, kStride = 7919;
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < kTokens; ++i) ids.push_back((1 + i * kStride) % model.config().vocab_size);
  const at::NoGradGuard no_grad;
  const auto before = model.activation_type();
  model.set_activation_type(at::kFloat);
  const TokenBatch batch{.ids = at::tensor(at::ArrayRef<int64_t>(ids)), .segments = Segments({kTokens})};
  const at::Tensor logits = model.logits(model.hidden(batch, {.bypass = bypass}), bypass);
  model.set_activation_type(before);
  return logits;
}

}  // namespace excitor
