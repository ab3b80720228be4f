// The frozen LLaMA: const weights built from a checkpoint, and one forward path for training, scoring and
// decoding.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/bypass.h>
#include <excitor/model/joined_passes.h>
#include <excitor/model/kv_cache.h>
#include <excitor/model/llama_config.h>
#include <excitor/tensor/fused.h>

namespace excitor {

/// Frozen weights. None requires grad; none is ever written to (they may lie in a read-only mapping of the
/// file).
struct LlamaWeights {
  Linear embedding;  // [V,D], used by rows
  std::vector<std::shared_ptr<const LayerWeights>> layers;
  at::Tensor final_norm;  // [D]
  Linear head;            // [V,D]; the embedding itself when tied
  /// Where each process holds a part, what brings in the others: all processes must run the same kinds of
  /// passes in the same order (see sharded_base.h). Null: the weights are whole.
  std::shared_ptr<Gathers> gathers = {};
  bool sharded() const { return gathers != nullptr; }
};

/// Tokens of N sequences, flat.
struct TokenBatch {
  at::Tensor ids;  ///< [T] int64
  Segments segments;
};

struct ForwardOptions {
  const ModelBypass* bypass = nullptr;  ///< null: the frozen model
  /// Null: each segment is a whole sequence, attended causally. Else segment i continues sequence i of the
  /// cache.
  KvCache* cache = nullptr;
  /// [R] int64, ascending: the tokens whose hidden states are wanted; undefined: all. The last layer computes
  /// no others after attention.
  at::Tensor rows = {};
  std::optional<StepNoise> noise = {};  ///< training only
  /// By segment. With a cache they count in its first pass, and hold for all that follow.
  SequenceImages images = {};
  /// Gradient checkpointing (arXiv 1604.06174): a layer keeps its input alone and is computed again in the
  /// backward pass. Bypass and model must live until then.
  bool recompute_layers = false;
};

class Llama {
 public:
  Llama(LlamaConfig config, LlamaWeights weights, at::ScalarType activation_type);

  const LlamaConfig& config() const { return config_; }
  const LlamaWeights& weights() const { return weights_; }
  at::ScalarType activation_type() const { return activation_type_; }
  void set_activation_type(at::ScalarType type) { activation_type_ = type; }
  at::Device device() const { return weights_.final_norm.device(); }
  std::shared_ptr<const LayerWeights> layer(int64_t index) const { return weights_.layers[index]; }

  /// Hidden states after the last norm: [T,D], or [R,D] with options.rows. Gradient mode belongs to the
  /// caller.
  at::Tensor hidden(const TokenBatch& batch, const ForwardOptions& options) const;
  /// The output layer of `bypass` as the loss takes it.
  OutputHead head(const ModelBypass* bypass) const;
  /// Logits [R,V] in fp32 (fp64 for fp64).
  at::Tensor logits(const at::Tensor& hidden, const ModelBypass* bypass) const;

 private:
  Step begin_pass(const TokenBatch& batch, const ForwardOptions& options) const;
  at::Tensor decoder_layer(int64_t index, at::Tensor x, const Step& whole,
                           const ForwardOptions& options) const;
  /// decoder_layer() that saves nothing but x. Where x needs no gradient (at the lowest adapted layer) it is
  /// decoder_layer() itself.
  at::Tensor recomputed_layer(int64_t index, const at::Tensor& x, const Step& step,
                              const ForwardOptions& options) const;
  at::Tensor attention(int64_t index, const at::Tensor& x, const Step& step,
                       const ForwardOptions& options) const;

  LlamaConfig config_;
  LlamaWeights weights_;
  at::ScalarType activation_type_;
  RopeConfig rope_;
};

/// The frozen weight of a Hugging Face name ("model.layers.3.mlp.up_proj.weight"); std::logic_error for
/// another name.
at::Tensor base_weight(const Llama& model, const std::string& name);

/// Builds the weights from tensors looked up by Hugging Face name.
using WeightLookup = std::function<at::Tensor(const std::string& name)>;
LlamaWeights make_weights(const LlamaConfig& config, const WeightLookup& lookup);
/// The same where linears are made elsewhere: by their names without ".weight".
using LinearLookup = std::function<Linear(const std::string& name, bool has_bias)>;
LlamaWeights make_weights(const LlamaConfig& config, const LinearLookup& linear, const WeightLookup& vector);

/// {out, in} of a linear.
std::pair<int64_t, int64_t> linear_size(const LlamaConfig& config, Projection site);

/// Every weight of the model by its Hugging Face name, in the order of the layers, with its shape: what a
/// checkpoint must hold.
struct WeightShape {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<WeightShape> weight_shapes(const LlamaConfig& config);

}  // namespace excitor
