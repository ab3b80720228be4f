#include <excitor/methods/method.h>

#include <fmt/format.h>

namespace excitor {

std::string layer_prefix(int64_t layer) {
  return fmt::format("base_model.model.model.layers.{}.", layer);
}

const LayerBypass& LayerwiseBypass::layer(int64_t index) const {
  return layers_[index] ? *layers_[index] : ModelBypass::layer(index);
}

}  // namespace excitor
