// What a method may change in the frozen model: hooks whose defaults are the frozen model itself.
// T tokens, D hidden width, H query heads, G key/value heads, d head width, V vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/step.h>
#include <excitor/tensor/linear.h>

namespace excitor {

/// The linears of a decoder layer.
enum class Projection { q, k, v, o, gate, up, down };
inline constexpr int kProjections = 7;
/// "self_attn.q_proj" … "mlp.down_proj": the name inside a layer, as Hugging Face spells it.
const char* projection_name(Projection site);

enum class NormSite { input, post_attention };
/// "input_layernorm", "post_attention_layernorm"
const char* norm_name(NormSite site);

/// The frozen weights of one decoder layer.
struct LayerWeights {
  Linear linears[kProjections];
  at::Tensor input_norm;           // [D]
  at::Tensor post_attention_norm;  // [D]
  const Linear& linear(Projection site) const { return linears[static_cast<int>(site)]; }
  const at::Tensor& norm(NormSite site) const {
    return site == NormSite::input ? input_norm : post_attention_norm;
  }
};

/// The hooks of one layer. Contract: what a hook returns for token t depends on token t, on its sequence's
/// images and on the parameters alone, so a cached key stays valid, and packing changes nothing. Hooks never
/// write to their arguments; one that saves something for its backward pass copies the Step.
class LayerBypass {
 public:
  virtual ~LayerBypass() = default;

  /// Around one projection: x [T,in] -> [T,out]. In the last layer o, gate, up and down see the wanted rows
  /// only: step.rows().
  virtual at::Tensor project(Projection site, const Linear& frozen, const at::Tensor& x,
                             const Step& step) const;
  /// Projections of the same x, as q, k, v or gate, up: [T,out] each. The default is project() for each; a
  /// method that leaves these linears frozen returns frozen_projections(), which costs less backward.
  virtual std::vector<at::Tensor> project_all(std::span<const Projection> sites, const LayerWeights& weights,
                                              const at::Tensor& x, const Step& step) const;
  /// The weight of a norm: [D].
  virtual at::Tensor norm_weight(NormSite site, const at::Tensor& frozen) const;
  /// The keys that attention reads and the cache holds. x [T,D] (normed input of the layer), k [T,G,d] not
  /// yet rotated; the default is step.rotary(k).
  virtual at::Tensor keys(const at::Tensor& x, const at::Tensor& k, const Step& step) const;
  /// Attention output before W_o. q [T,H,d] rotated, attended [T,H,d].
  virtual at::Tensor attended(const LayerWeights& weights, const at::Tensor& q, const at::Tensor& attended,
                              const Step& step) const;
};

/// What LayerBypass::project_all() is where all the linears stay frozen.
std::vector<at::Tensor> frozen_projections(std::span<const Projection> sites, const LayerWeights& weights,
                                           const at::Tensor& x);

/// The hooks of a whole model; the default is the frozen model.
class ModelBypass {
 public:
  virtual ~ModelBypass() = default;

  virtual const LayerBypass& layer(int64_t index) const;
  /// What is computed once a forward pass (or once a generation) and read by the hooks of several layers.
  virtual std::shared_ptr<const PassState> begin_pass(const Segments&, const SequenceImages&) const {
    return nullptr;
  }
  /// Embeddings of ids [T] -> [T,D].
  virtual at::Tensor embed(const Linear& frozen, const at::Tensor& ids) const { return frozen.rows(ids); }
  /// The weight of the last norm [D].
  virtual at::Tensor final_norm(const at::Tensor& frozen) const { return frozen; }
  /// A trainable matrix [V,D] in the place of the output layer, or an undefined tensor: the frozen one.
  virtual at::Tensor trainable_head() const { return {}; }
};

}  // namespace excitor
