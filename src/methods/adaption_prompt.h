// What LLaMA-Adapter and LLaMA-Adapter V2 share: prompts of a layer, attended beside its tokens behind a
// gate. T tokens, D hidden width, H query heads, G key heads, d head width, K prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <excitor/methods/method.h>

#include "visual_pass.h"

namespace excitor {

enum class GateShape { per_head, per_layer };
enum class GateActivation { tanh, none };

/// The settings of the prompts.
struct AdaptionPromptSettings {
  int64_t adapter_len = 10;
  std::optional<int64_t> adapter_layers;  ///< default: the paper's 30, or all layers of a smaller model
  GateShape gate = GateShape::per_head;
  GateActivation gate_activation = GateActivation::tanh;

  void describe(Describer& d, Range adapter_len_range);
  /// Number of layers with prompts; 0 without prompts.
  int64_t layers(const LlamaConfig& model) const;
  bool has_prompts(const LlamaConfig& model, int64_t layer) const;
  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const;
  /// adaption_prompt [1,K,D] ~ N(0,1) and adaption_gate [H] or [1], zero, of one layer.
  void add_parameters(const LlamaConfig& model, int64_t layer, std::vector<ParameterSpec>& specs) const;
};

/// What the prompts of a layer have to do with images.
struct PromptSight {
  bool adds_image = true;    ///< the rows of a sequence's image are added to the prompts
  bool needs_image = false;  ///< sequences without an image do not see the prompts at all
};

/// The prompts of one layer.
class AdaptionPrompt {
 public:
  AdaptionPrompt(const ParameterSet& parameters, int64_t layer, GateActivation activation,
                 PromptSight sight = {});

  /// The prompts' keys and values, not rotated and not normed: [K,G,d] each.
  using KeysAndValues = std::pair<at::Tensor, at::Tensor>;
  using Projector =
      std::function<at::Tensor(Projection site, const at::Tensor& prompt)>;  ///< [K,D] -> [K,G·d]

  /// attended + gate · softmax(q K_pᵀ/√d) V_p (arXiv 2303.16199, eq. 4 to 7, with a softmax of its own over
  /// the prompts). `project` makes keys and values of the prompts, once a generation. q and attended [T,H,d].
  at::Tensor add_to(const at::Tensor& attended, const at::Tensor& q, const Step& step,
                    const Projector& project) const;

 private:
  /// softmax(q K_pᵀ/√d) V_p, [T,H,d].
  static at::Tensor attend(const at::Tensor& q, const KeysAndValues& prompt);
  /// Of each sequence of a pass with images; undefined for those that see no prompts.
  std::vector<KeysAndValues> prompts_of_sequences(const at::Tensor& q, const Step& step,
                                                  const Projector& project, const VisualPass& pass) const;
  /// The prompts with an image's rows added, if there are any: [K,D].
  at::Tensor prompt(at::ScalarType type, const at::Tensor& rows) const;
  static KeysAndValues project_prompt(const at::Tensor& prompt, int64_t head_width, const Projector& project);
  /// Whether keys and values are kept from token to token: in a pass without gradients.
  static bool keeps_prompts(const Step& step);
  /// `rows`: of the image of `sequence`, undefined without one.
  KeysAndValues keys_and_values(const at::Tensor& q, const Step& step, const Projector& project,
                                int64_t sequence, const at::Tensor& rows) const;
  /// [H,1] or [1,1], in the type of `like`.
  at::Tensor gate(const at::Tensor& like) const;

  int64_t layer_;
  GateActivation activation_;
  PromptSight sight_;
  at::Tensor prompt_;    // [1,K,D]
  at::Tensor gate_;      // [H] or [1]
  at::Tensor new_gate_;  // [1] or undefined
};

/// The prompts' keys and values of a pass without gradients, kept by layer and sequence while tokens are
/// decoded one by one; those without an image are the same for all sequences.
class PromptCache : public VisualPass {
 public:
  static constexpr int64_t kNoImage = -1;

  explicit PromptCache(int64_t layers, std::vector<at::Tensor> rows = {})
      : VisualPass(std::move(rows)), entries_(layers) {}
  /// The entry of a layer and a sequence (or kNoImage), to be filled at first use. A pass runs in one thread.
  AdaptionPrompt::KeysAndValues& entry(int64_t layer, int64_t sequence) const {
    return entries_[layer][sequence];
  }

 private:
  mutable std::vector<std::map<int64_t, AdaptionPrompt::KeysAndValues>> entries_;
};

}  // namespace excitor
