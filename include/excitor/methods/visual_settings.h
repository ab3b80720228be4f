// What methods with a visual side have in common: the shape of an image's features.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/step.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/util/describe.h>
#include <excitor/util/settings.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

/// The features of an image are a matrix [rows,width] of ImageEncoder. Not set: the method sees texts alone.
struct VisualSettings {
  std::optional<int64_t> visual_rows;
  std::optional<int64_t> visual_width;

  bool is_set() const { return visual_rows && visual_width; }
  void describe(Describer& d);
  /// Adds that one of the two is not set.
  void check(const std::string& path, Problems& problems) const;
  /// Takes the shape of what an encoder gives. Throws ConfigError where another was set before (an adapter
  /// that was trained with another tower); `tower` stands in the message.
  void see(const ImageEncoder& encoder, const std::string& tower);
  /// Throws std::logic_error unless every defined image has this shape.
  void check_images(const SequenceImages& images) const;
};

/// A trainable linear, NAME.weight [out,in] ~ U(±1/√in) and NAME.bias [out] = 0.
void add_visual_linear(std::vector<ParameterSpec>& specs, const std::string& name, int64_t out, int64_t in);
/// y = W x + b of it in x's type: x [...,in] -> [...,out].
at::Tensor visual_linear(const ParameterSet& parameters, const std::string& name, const at::Tensor& x);

}  // namespace excitor
