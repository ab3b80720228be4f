// Names inside the files of LLaMA-Adapter, which are those of Meta's LLaMA.
#pragma once

#include <string>
#include <string_view>

#include <excitor/model/bypass.h>

namespace excitor {

/// Every projection of a layer.
inline constexpr Projection kProjectionSites[] = {Projection::q,   Projection::k,    Projection::v,
                                                  Projection::o,   Projection::gate, Projection::up,
                                                  Projection::down};
inline constexpr NormSite kNormSites[] = {NormSite::input, NormSite::post_attention};

inline constexpr const char* kPromptsName = "adapter_query.weight";
inline constexpr const char* kFinalNormName = "norm.weight";

/// Whether a tensor belongs to the visual side of the multimodal layout: "clip_proj…", "visual_…". Its name
/// is the same in our files, behind kVisualPrefix.
bool is_visual_name(std::string_view name);
inline constexpr std::string_view kVisualPrefix = "base_model.model.";

/// "q_proj": how settings name a projection.
std::string leaf_name(Projection site);

/// The tensors of one layer, without the "llama." of the multimodal layout.
struct LayerNames {
  int64_t layer;

  std::string gate() const;                            ///< "layers.3.attention.gate"
  std::string new_gate() const;                        ///< "layers.3.attention.new_gate"
  std::string norm(NormSite site) const;               ///< "layers.3.ffn_norm.weight"
  std::string matrix(Projection site) const;           ///< "layers.3.attention.wq.weight": the base's own
  std::string chat_scale(Projection site) const;       ///< "layers.3.attention.wq_scale"
  std::string chat_bias(Projection site) const;        ///< "layers.3.attention.wq_bias"
  std::string multimodal_bias(Projection site) const;  ///< "layers.3.attention.wq.bias"
  std::string lora_a(Projection site) const;           ///< "layers.3.attention.lora_wq_l1.weight"
  std::string lora_b(Projection site) const;           ///< "layers.3.attention.lora_wq_l2.weight"

 private:
  std::string in_block(Projection site, const std::string& before, const std::string& after) const;
};

}  // namespace excitor
