// The names and shapes of a LLaMA's weights in Hugging Face's layout.
#include <array>
#include <stdexcept>

#include <fmt/format.h>

#include <excitor/model/llama.h>

namespace excitor {
namespace {

constexpr std::array kSites = {Projection::q,    Projection::k,  Projection::v,   Projection::o,
                               Projection::gate, Projection::up, Projection::down};

}  // namespace

std::pair<int64_t, int64_t> linear_size(const LlamaConfig& c, Projection site) {
  switch (site) {
    case Projection::q:
      return {c.query_width(), c.hidden_size};
    case Projection::k:
    case Projection::v:
      return {c.key_width(), c.hidden_size};
    case Projection::o:
      return {c.hidden_size, c.query_width()};
    case Projection::gate:
    case Projection::up:
      return {c.intermediate_size, c.hidden_size};
    case Projection::down:
      return {c.hidden_size, c.intermediate_size};
  }
  throw std::logic_error("unknown projection");
}

namespace {

bool has_bias(const LlamaConfig& c, Projection site) {
  return site == Projection::q || site == Projection::k || site == Projection::v || site == Projection::o
             ? c.attention_bias
             : c.mlp_bias;
}

void add_layer(std::vector<WeightShape>& shapes, const LlamaConfig& c, int64_t layer) {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  for (const Projection site : kSites) {
    const auto [out, in] = linear_size(c, site);
    shapes.push_back({prefix + projection_name(site) + ".weight", {out, in}});
    if (has_bias(c, site)) shapes.push_back({prefix + projection_name(site) + ".bias", {out}});
  }
  for (const NormSite site : {NormSite::input, NormSite::post_attention}) {
    shapes.push_back({prefix + norm_name(site) + ".weight", {c.hidden_size}});
  }
}

/// The tensor of one layer by what follows "model.layers.N.", or an undefined one.
at::Tensor layer_weight(const LayerWeights& weights, const std::string& name) {
  for (const Projection site : kSites) {
    if (name == std::string(projection_name(site)) + ".weight") return weights.linear(site).weight();
    if (name == std::string(projection_name(site)) + ".bias") return weights.linear(site).bias();
  }
  for (const NormSite site : {NormSite::input, NormSite::post_attention}) {
    if (name == std::string(norm_name(site)) + ".weight") return weights.norm(site);
  }
  return {};
}

}  // namespace

std::vector<WeightShape> weight_shapes(const LlamaConfig& config) {
  std::vector<WeightShape> shapes{{"model.embed_tokens.weight", {config.vocab_size, config.hidden_size}}};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) add_layer(shapes, config, i);
  shapes.push_back({"model.norm.weight", {config.hidden_size}});
  if (!config.tie_word_embeddings)
    shapes.push_back({"lm_head.weight", {config.vocab_size, config.hidden_size}});
  return shapes;
}

LlamaWeights make_weights(const LlamaConfig& config, const LinearLookup& linear, const WeightLookup& vector) {
  LlamaWeights weights;
  weights.embedding = linear("model.embed_tokens", false);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    auto layer = std::make_shared<LayerWeights>();
    for (const Projection site : kSites) {
      layer->linears[static_cast<int>(site)] = linear(prefix + projection_name(site), has_bias(config, site));
    }
    layer->input_norm = vector(prefix + norm_name(NormSite::input) + ".weight");
    layer->post_attention_norm = vector(prefix + norm_name(NormSite::post_attention) + ".weight");
    weights.layers.push_back(std::move(layer));
  }
  weights.final_norm = vector("model.norm.weight");
  weights.head = config.tie_word_embeddings ? weights.embedding : linear("lm_head", false);
  return weights;
}

LlamaWeights make_weights(const LlamaConfig& config, const WeightLookup& lookup) {
  const auto linear = [&](const std::string& name, bool has_bias) {
    return Linear::dense(lookup(name + ".weight"), has_bias ? lookup(name + ".bias") : at::Tensor());
  };
  return make_weights(config, linear, lookup);
}

at::Tensor base_weight(const Llama& model, const std::string& name) {
  at::Tensor found;
  constexpr std::string_view kLayers = "model.layers.";
  if (name == "model.embed_tokens.weight")
    found = model.weights().embedding.weight();
  else if (name == "model.norm.weight")
    found = model.weights().final_norm;
  else if (name == "lm_head.weight")
    found = model.weights().head.weight();
  else if (name.starts_with(kLayers)) {
    const size_t dot = name.find('.', kLayers.size());
    const int64_t index = std::stoll(name.substr(kLayers.size(), dot - kLayers.size()));
    found = layer_weight(*model.layer(index), name.substr(dot + 1));
  }
  if (!found.defined()) throw std::logic_error("no weight is called " + name);
  return found;
}

}  // namespace excitor
