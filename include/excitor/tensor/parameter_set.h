// The trainable tensors of a method: an ordered map from the name in the adapter's file to an fp32 leaf
// tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace excitor {

/// How a parameter starts. Random values are a function of (seed, parameter name) only.
struct Init {
  enum class Kind { constant, normal, uniform, base_weight };
  Kind kind = Kind::constant;
  double mean = 0;     ///< constant: the value; normal: the mean
  double scale = 0;    ///< normal: standard deviation; uniform: half-width (values in [-scale, scale])
  std::string source;  ///< base_weight: the Hugging Face name of the frozen weight

  static Init constant(double value) { return {Kind::constant, value, 0, {}}; }
  static Init normal(double mean, double standard_deviation) {
    return {Kind::normal, mean, standard_deviation, {}};
  }
  static Init uniform(double half_width) { return {Kind::uniform, 0, half_width, {}}; }
  /// A copy of a frozen weight (method full, unlocked norms).
  static Init base_weight(std::string name) { return {Kind::base_weight, 0, 0, std::move(name)}; }
};

/// Name, shape and start of one parameter: all that is needed to count parameters or to check a file without
/// weights.
struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  Init init;
  int64_t numel() const;
};

int64_t count_parameters(const std::vector<ParameterSpec>& specs);

/// What optimiser, clipping, gradient reduction, checkpoints and export take; they never see the model.
/// Tensors are leaves that require grad. fp32 in training; tests use float64 for numeric gradients.
class ParameterSet {
 public:
  struct Entry {
    std::string name;
    at::Tensor tensor;
  };

  ParameterSet() = default;
  ParameterSet(ParameterSet&&) = default;
  ParameterSet& operator=(ParameterSet&&) = default;

  /// Adds a leaf. The name must be new (std::logic_error otherwise).
  at::Tensor& add(std::string name, at::Tensor value);
  /// The parameter of this name; std::logic_error when there is none.
  const at::Tensor& at(std::string_view name) const;
  bool contains(std::string_view name) const;

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int64_t numel() const;

  /// Drops all gradients, so that one that stays undefined after backward is noticed.
  void clear_gradients();

 private:
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

/// Creates every parameter on `options`' device and type. `base` looks up frozen weights for
/// Init::base_weight.
using BaseWeight = std::function<at::Tensor(const std::string& name)>;
ParameterSet initialise(const std::vector<ParameterSpec>& specs, uint64_t seed,
                        const at::TensorOptions& options, const BaseWeight& base);

/// "self_attn.excitor_prompt" of "base_model.model.model.layers.3.self_attn.excitor_prompt": a name without
/// the prefix of adapter files and without the layer, to put the same parameters of all layers together.
std::string name_inside_layer(std::string_view name);

/// Fills `tensor` as `init` says from the stream of (seed, name); not for base_weight.
void fill_random(at::Tensor& tensor, const Init& init, uint64_t seed, std::string_view name);

}  // namespace excitor
