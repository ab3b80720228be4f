#include "llama_adapter_names.h"

#include <fmt/format.h>

namespace excitor {
namespace {

/// Meta's letters of a projection.
const char* short_name(Projection site) {
  constexpr const char* kNames[kProjections] = {"wq", "wk", "wv", "wo", "w1", "w3", "w2"};
  return kNames[static_cast<int>(site)];
}

const char* block_name(Projection site) {
  const bool feed_forward = site == Projection::gate || site == Projection::up || site == Projection::down;
  return feed_forward ? "feed_forward" : "attention";
}

}  // namespace

bool is_visual_name(std::string_view name) {
  return name.starts_with("clip_proj") || name.starts_with("visual_");
}

std::string leaf_name(Projection site) {
  const std::string name = projection_name(site);
  return name.substr(name.rfind('.') + 1);
}

std::string LayerNames::in_block(Projection site, const std::string& before, const std::string& after) const {
  return fmt::format("layers.{}.{}.{}{}{}", layer, block_name(site), before, short_name(site), after);
}

std::string LayerNames::gate() const {
  return fmt::format("layers.{}.attention.gate", layer);
}
std::string LayerNames::new_gate() const {
  return fmt::format("layers.{}.attention.new_gate", layer);
}
std::string LayerNames::norm(NormSite site) const {
  return fmt::format("layers.{}.{}.weight", layer, site == NormSite::input ? "attention_norm" : "ffn_norm");
}
std::string LayerNames::matrix(Projection site) const {
  return in_block(site, "", ".weight");
}
std::string LayerNames::chat_scale(Projection site) const {
  return in_block(site, "", "_scale");
}
std::string LayerNames::chat_bias(Projection site) const {
  return in_block(site, "", "_bias");
}
std::string LayerNames::multimodal_bias(Projection site) const {
  return in_block(site, "", ".bias");
}
std::string LayerNames::lora_a(Projection site) const {
  return in_block(site, "lora_", "_l1.weight");
}
std::string LayerNames::lora_b(Projection site) const {
  return in_block(site, "lora_", "_l2.weight");
}

}  // namespace excitor
