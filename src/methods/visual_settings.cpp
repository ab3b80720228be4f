#include <excitor/methods/visual_settings.h>

#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include <excitor/tensor/fused.h>
#include <excitor/util/error.h>

namespace excitor {

void VisualSettings::describe(Describer& d) {
  d.field("visual_rows", visual_rows,
          "Rows of an image's features, set by the vision tower; absent: no visual side.", kCount);
  d.field("visual_width", visual_width,
          "Width of an image's features, set by the vision tower; absent: no visual side.", kCount);
}

void VisualSettings::check(const std::string& path, Problems& problems) const {
  if (visual_rows.has_value() != visual_width.has_value())
    problems.add(path + ".visual_width", "visual_rows and visual_width are set together, or neither is");
}

void VisualSettings::see(const ImageEncoder& encoder, const std::string& tower) {
  // Tokens may be as many as they are: no parameter has a row for each, and an imported file does not tell.
  const bool other_rows = encoder.kind() == FeatureKind::class_tokens && visual_rows != encoder.rows();
  if (is_set() && (other_rows || *visual_width != encoder.width())) {
    throw ConfigError(
        fmt::format("{}: this vision tower gives {} rows of width {} for an image, but the adapter was made "
                    "for {} of {}: "
                    "take the tower that it was trained with",
                    tower, encoder.rows(), encoder.width(), *visual_rows, *visual_width));
  }
  visual_rows = encoder.rows(), visual_width = encoder.width();
}

void VisualSettings::check_images(const SequenceImages& images) const {
  for (const at::Tensor& image : images) {
    if (!image.defined()) continue;
    if (!is_set()) throw std::logic_error("a method without a visual side was given an image");
    if (image.dim() != 2 || image.size(1) != *visual_width)
      throw std::logic_error("an image's features have another shape than the method's projection");
  }
}

void add_visual_linear(std::vector<ParameterSpec>& specs, const std::string& name, int64_t out, int64_t in) {
  specs.push_back({name + ".weight", {out, in}, Init::uniform(1 / std::sqrt(static_cast<double>(in)))});
  specs.push_back({name + ".bias", {out}, Init::constant(0)});
}

at::Tensor visual_linear(const ParameterSet& parameters, const std::string& name, const at::Tensor& x) {
  const at::Tensor y =
      trainable_linear(x.flatten(0, -2), parameters.at(name + ".weight"), parameters.at(name + ".bias"));
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = y.size(-1);
  return y.view(sizes);
}

}  // namespace excitor
