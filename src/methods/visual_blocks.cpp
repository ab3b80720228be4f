#include "visual_blocks.h"

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <fmt/format.h>

#include <excitor/methods/visual_settings.h>

namespace excitor {
namespace {

const std::string kPrefix = "base_model.model.";
constexpr double kNormEpsilon = 1e-5;

void add_norm(std::vector<ParameterSpec>& specs, const std::string& name, int64_t width) {
  specs.push_back({name + ".weight", {width}, Init::constant(1)});
  specs.push_back({name + ".bias", {width}, Init::constant(0)});
}

std::string block_name(int64_t index) {
  return fmt::format("{}visual_blocks.{}", kPrefix, index);
}

}  // namespace

void VisualBlocksSettings::describe(Describer& d) {
  d.field("visual_hidden_size", visual_hidden_size, "Width of the visual blocks.", kCount);
  d.field("visual_blocks", visual_blocks, "Number of visual blocks.", kNonNegative);
  d.field("visual_heads", visual_heads, "Attention heads of a visual block.", kCount);
}

void VisualBlocksSettings::check(const std::string& path, Problems& problems) const {
  if (visual_hidden_size % visual_heads != 0) {
    problems.add(path + ".visual_heads", fmt::format("visual_hidden_size {} is not a multiple of {} heads",
                                                     visual_hidden_size, visual_heads));
  }
}

void VisualBlocksSettings::add_parameters(int64_t feature_width, int64_t queries, int64_t hidden_size,
                                          std::vector<ParameterSpec>& specs) const {
  const int64_t width = visual_hidden_size;
  add_visual_linear(specs, kPrefix + "clip_proj", width, feature_width);
  add_norm(specs, kPrefix + "clip_proj_norm", width);
  specs.push_back({kPrefix + "visual_query.weight", {queries, width}, Init::normal(0, 1)});
  for (int64_t i = 0; i < visual_blocks; ++i) {
    const std::string name = block_name(i);
    add_norm(specs, name + ".norm1", width);
    add_visual_linear(specs, name + ".attn.qkv", 3 * width, width);
    add_visual_linear(specs, name + ".attn.proj", width, width);
    add_norm(specs, name + ".norm2", width);
    add_visual_linear(specs, name + ".mlp.fc1", 4 * width, width);
    add_visual_linear(specs, name + ".mlp.fc2", width, 4 * width);
  }
  add_visual_linear(specs, kPrefix + "visual_proj", hidden_size, width);
  add_norm(specs, kPrefix + "visual_proj_norm", hidden_size);
}

at::Tensor VisualBlocks::norm(const std::string& name, const at::Tensor& x) const {
  const auto type = x.scalar_type();
  return at::layer_norm(x, {x.size(-1)}, parameters_.at(name + ".weight").to(type),
                        parameters_.at(name + ".bias").to(type), kNormEpsilon);
}

at::Tensor VisualBlocks::attend(const std::string& name, const at::Tensor& x) const {
  const at::Tensor qkv = visual_linear(parameters_, name + ".qkv", x)
                             .view({x.size(0), x.size(1), 3, settings_.visual_heads, -1})
                             .permute({2, 0, 3, 1, 4});                             // [3,N,H,L,d]
  const at::Tensor out = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);  // [N,H,L,d]
  return visual_linear(parameters_, name + ".proj", out.transpose(1, 2).reshape(x.sizes()));
}

at::Tensor VisualBlocks::block(const std::string& name, const at::Tensor& x) const {
  const at::Tensor y = at::add(x, attend(name + ".attn", norm(name + ".norm1", x)));
  const at::Tensor inner = at::gelu(visual_linear(parameters_, name + ".mlp.fc1", norm(name + ".norm2", y)));
  return at::add(y, visual_linear(parameters_, name + ".mlp.fc2", inner));
}

at::Tensor VisualBlocks::operator()(const at::Tensor& features) const {
  const at::Tensor tokens = norm(kPrefix + "clip_proj_norm",
                                 visual_linear(parameters_, kPrefix + "clip_proj", features));  // [N,T,W]
  const at::Tensor query =
      parameters_.at(kPrefix + "visual_query.weight").to(features.scalar_type());  // [Q,W]
  at::Tensor x = at::cat({query.expand({tokens.size(0), -1, -1}), tokens}, 1);     // [N,L,W]
  for (int64_t i = 0; i < settings_.visual_blocks; ++i) x = block(block_name(i), x);
  const at::Tensor seen = x.narrow(1, 0, query.size(0));  // [N,Q,W]
  return norm(kPrefix + "visual_proj_norm", visual_linear(parameters_, kPrefix + "visual_proj", seen));
}

}  // namespace excitor
