// Full fine-tuning: every weight trains, from fp32 master copies. Also how a small model is made from
// nothing.
#include <ATen/ops/embedding.h>

#include <excitor/model/llama.h>
#include <excitor/tensor/fused.h>

#include "methods.h"

namespace excitor {
namespace {

class FullLayer : public LayerBypass {
 public:
  /// `prefix` is "model.layers.3.".
  FullLayer(const ParameterSet& parameters, const std::string& prefix) {
    for (int i = 0; i < kProjections; ++i) {
      const std::string name = prefix + projection_name(static_cast<Projection>(i));
      weights_[i] = parameters.at(name + ".weight");
      if (parameters.contains(name + ".bias")) biases_[i] = parameters.at(name + ".bias");
    }
    input_norm_ = parameters.at(prefix + norm_name(NormSite::input) + ".weight");
    post_attention_norm_ = parameters.at(prefix + norm_name(NormSite::post_attention) + ".weight");
  }

  at::Tensor project(Projection site, const Linear&, const at::Tensor& x, const Step&) const override {
    const int i = static_cast<int>(site);
    return trainable_linear(x, weights_[i], biases_[i]);
  }

  at::Tensor norm_weight(NormSite site, const at::Tensor&) const override {
    return site == NormSite::input ? input_norm_ : post_attention_norm_;
  }

 private:
  at::Tensor weights_[kProjections];  // [out,in]
  at::Tensor biases_[kProjections];   // [out] or undefined
  at::Tensor input_norm_;             // [D]
  at::Tensor post_attention_norm_;    // [D]
};

class FullBypass : public LayerwiseBypass {
 public:
  FullBypass(const LlamaConfig& model, const ParameterSet& parameters)
      : LayerwiseBypass(model.num_hidden_layers) {
    embedding_ = parameters.at("model.embed_tokens.weight");
    final_norm_ = parameters.at("model.norm.weight");
    head_ = model.tie_word_embeddings ? embedding_ : parameters.at("lm_head.weight");
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      set(layer, std::make_unique<FullLayer>(parameters, "model.layers." + std::to_string(layer) + "."));
    }
  }

  at::Tensor embed(const Linear&, const at::Tensor& ids) const override {
    return at::embedding(embedding_, ids);
  }
  at::Tensor final_norm(const at::Tensor&) const override { return final_norm_; }
  at::Tensor trainable_head() const override { return head_; }

 private:
  at::Tensor embedding_;   // [V,D]
  at::Tensor final_norm_;  // [D]
  at::Tensor head_;        // [V,D]; the embedding itself when tied
};

class FullMethod : public Method {
 public:
  std::string_view name() const override { return "full"; }
  std::string_view peft_type() const override { return "FULL"; }
  void describe(Describer&) override {}
  void check(const LlamaConfig&, const std::string&, Problems&) const override {}
  bool trains_whole_model() const override { return true; }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    std::vector<ParameterSpec> specs;
    for (const WeightShape& weight : weight_shapes(model)) {
      specs.push_back({weight.name, weight.shape, Init::base_weight(weight.name)});
    }
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    return std::make_unique<FullBypass>(model, parameters);
  }
};

}  // namespace

std::unique_ptr<Method> make_full() {
  return std::make_unique<FullMethod>();
}

}  // namespace excitor
