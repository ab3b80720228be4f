// A method: its settings, its parameters, and the bypass that they make of a frozen model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/methods/visual_settings.h>
#include <excitor/model/bypass.h>
#include <excitor/model/llama_config.h>
#include <excitor/model/trained_by.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

/// One subclass a method, in one source file. The object is the settings: parsed and checked before any
/// weight is loaded.
class Method {
 public:
  virtual ~Method() = default;

  /// "excitor": `method.type` in a configuration.
  virtual std::string_view name() const = 0;
  /// "EXCITOR": `peft_type` in adapter_config.json.
  virtual std::string_view peft_type() const = 0;
  /// Every `peft_type` that this method reads.
  virtual std::vector<std::string_view> readable_peft_types() const { return {peft_type()}; }
  /// The settings, without `type`. The same fields stand in a configuration's `method` section and in
  /// adapter_config.json.
  virtual void describe(Describer& d) = 0;
  /// Writes out the defaults that depend on the model, so that a recorded configuration says what was done.
  virtual void resolve(const LlamaConfig&) {}
  /// Adds what does not fit the model (more adapted layers than it has, an unknown target). `path` is
  /// "method" in a configuration.
  virtual void check(const LlamaConfig& model, const std::string& path, Problems& problems) const = 0;

  /// Called before describe() reads an adapter_config.json. Fills in what another program leaves to its
  /// defaults, spells its settings as ours, and adds what it asks for that is not computed.
  virtual void read_adapter_config(Json&, Problems&) {}

  /// Every trainable tensor by its name in the adapter's file, in the order of the layers. Needs no weights.
  virtual std::vector<ParameterSpec> parameters(const LlamaConfig& model) const = 0;
  /// The hooks that read `parameters`, which must outlive them.
  virtual std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                              const ParameterSet& parameters) const = 0;

  /// The shape of an image's features that this method takes, or null: it has no visual side.
  virtual VisualSettings* visual() { return nullptr; }
  /// What of the vision tower the features are; for methods with a visual side.
  virtual FeatureSettings visual_features() const { return {}; }
  /// In joint training a batch of images trains the parameters of its own group alone, and one of texts the
  /// others (arXiv 2304.15010, section 4.1). Also of a group is what only images, or only texts, reach: the
  /// projection of an image. All else is everybody's.
  virtual TrainedBy trained_by(std::string_view) const { return TrainedBy::everything; }

  /// True where the result is a whole model (a Hugging Face folder) and not an adapter.
  virtual bool trains_whole_model() const { return false; }
};

/// "base_model.model.model.layers.3.": what the names of a layer's parameters start with in adapter files (as
/// PEFT writes).
std::string layer_prefix(int64_t layer);

/// One layer's hooks each; layers without a bypass stay frozen.
class LayerwiseBypass : public ModelBypass {
 public:
  explicit LayerwiseBypass(int64_t layers) : layers_(layers) {}
  void set(int64_t index, std::unique_ptr<LayerBypass> bypass) { layers_[index] = std::move(bypass); }
  const LayerBypass& layer(int64_t index) const override;

 private:
  std::vector<std::unique_ptr<LayerBypass>> layers_;
};

}  // namespace excitor
