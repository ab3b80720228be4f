#include <excitor/tensor/parameter_set.h>

#include <stdexcept>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

namespace excitor {
namespace {

at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed, const at::TensorOptions& options,
                         const BaseWeight& base) {
  if (spec.init.kind != Init::Kind::base_weight) {
    at::Tensor value = at::empty(spec.shape, options);
    fill_random(value, spec.init, seed, spec.name);
    return value;
  }
  const at::Tensor weight = base ? base(spec.init.source) : at::Tensor();
  if (!weight.defined())
    throw std::logic_error(fmt::format("initialise: no base weight for '{}'", spec.name));
  if (weight.sizes() != at::IntArrayRef(spec.shape)) {
    throw std::logic_error(fmt::format("initialise: the base weight '{}' has another shape", spec.name));
  }
  return weight.detach().to(options, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

int64_t ParameterSpec::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t count_parameters(const std::vector<ParameterSpec>& specs) {
  int64_t count = 0;
  for (const ParameterSpec& spec : specs) count += spec.numel();
  return count;
}

at::Tensor& ParameterSet::add(std::string name, at::Tensor value) {
  if (!value.defined()) throw std::logic_error(fmt::format("ParameterSet::add: '{}' is undefined", name));
  if (contains(name)) throw std::logic_error(fmt::format("ParameterSet::add: '{}' is already there", name));
  index_.emplace(name, entries_.size());
  entries_.push_back({std::move(name), value.detach().set_requires_grad(true)});
  return entries_.back().tensor;
}

const at::Tensor& ParameterSet::at(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw std::logic_error(fmt::format("ParameterSet::at: there is no '{}'", name));
  return entries_[found->second].tensor;
}

bool ParameterSet::contains(std::string_view name) const {
  return index_.find(name) != index_.end();
}

int64_t ParameterSet::numel() const {
  int64_t count = 0;
  for (const Entry& entry : entries_) count += entry.tensor.numel();
  return count;
}

void ParameterSet::clear_gradients() {
  for (const Entry& entry : entries_) entry.tensor.mutable_grad() = at::Tensor();
}

ParameterSet initialise(const std::vector<ParameterSpec>& specs, uint64_t seed,
                        const at::TensorOptions& options, const BaseWeight& base) {
  const at::NoGradGuard no_grad;
  ParameterSet parameters;
  for (const ParameterSpec& spec : specs) parameters.add(spec.name, initial_value(spec, seed, options, base));
  return parameters;
}

std::string name_inside_layer(std::string_view name) {
  constexpr std::string_view kPrefix = "base_model.model.", kLayers = "model.layers.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  if (name.starts_with(kLayers)) name.remove_prefix(name.find('.', kLayers.size()) + 1);
  return std::string(name);
}

}  // namespace excitor
