#include <excitor/model/rope.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/where.h>

#include <excitor/tensor/device_copy.h>
#include <excitor/tensor/fused.h>

namespace excitor {
namespace {

/// theta^(−2j/d), by the same operations as transformers, so that the rounding is the same.
at::Tensor plain_frequencies(double theta, int64_t head_width, at::ScalarType type) {
  const at::Tensor exponent =
      at::arange(0, head_width, 2, at::TensorOptions().dtype(at::kLong)).to(type).div_(head_width);
  return at::reciprocal(at::pow(at::Scalar(theta), exponent));
}

/// Theta grows with the sequence once it is longer than the model was trained for ("NTK-aware" scaling).
at::Tensor dynamic_frequencies(const RopeConfig& c, int64_t head_width, int64_t length, at::ScalarType type) {
  const double trained = static_cast<double>(c.max_position_embeddings);
  const double n = std::max(static_cast<double>(length), trained);
  const double d = static_cast<double>(head_width);
  const double theta = c.theta * std::pow(c.factor * n / trained - (c.factor - 1), d / (d - 2));
  return plain_frequencies(theta, head_width, type);
}

/// Long wavelengths are divided by factor, short ones kept, those between interpolated.
at::Tensor llama3_frequencies(const RopeConfig& c, int64_t head_width, at::ScalarType type) {
  const at::Tensor f = plain_frequencies(c.theta, head_width, type);
  const double old = c.original_max_position_embeddings;
  const at::Tensor wavelength = at::reciprocal(f).mul(2 * std::numbers::pi);
  const at::Tensor smooth =
      wavelength.reciprocal().mul(old).sub(c.low_freq_factor).div(c.high_freq_factor - c.low_freq_factor);
  const at::Tensor between = smooth.neg().add(1).mul(f).div(c.factor).add(smooth.mul(f));
  const at::Tensor scaled = at::where(wavelength.gt(old / c.low_freq_factor), f.div(c.factor), f);
  const at::Tensor is_between =
      wavelength.ge(old / c.high_freq_factor).logical_and(wavelength.le(old / c.low_freq_factor));
  return at::where(is_between, between, scaled);
}

/// YaRN (arXiv 2309.00071): a ramp between dimensions that turn often (kept) and seldom (divided by factor).
at::Tensor yarn_frequencies(const RopeConfig& c, int64_t head_width, at::ScalarType type) {
  const double d = static_cast<double>(head_width);
  const auto dimension_of = [&](double rotations) {
    return d * std::log(c.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(c.theta));
  };
  double low = dimension_of(c.beta_fast), high = dimension_of(c.beta_slow);
  if (c.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  const at::Tensor f = plain_frequencies(c.theta, head_width, type);
  const at::Tensor ramp = at::arange(0, head_width / 2, f.options()).sub(low).div(high - low).clamp(0, 1);
  return ramp.mul(f).div(c.factor).add(ramp.neg().add(1).mul(f));
}

}  // namespace

at::Tensor inverse_frequencies(const RopeConfig& config, int64_t head_width, int64_t length,
                               at::ScalarType type) {
  switch (config.type) {
    case RopeConfig::Type::linear:
      return plain_frequencies(config.theta, head_width, type).div(config.factor);
    case RopeConfig::Type::dynamic:
      return dynamic_frequencies(config, head_width, length, type);
    case RopeConfig::Type::llama3:
      return llama3_frequencies(config, head_width, type);
    case RopeConfig::Type::yarn:
      return yarn_frequencies(config, head_width, type);
    case RopeConfig::Type::standard:
      break;
  }
  return plain_frequencies(config.theta, head_width, type);
}

Rotary::Rotary(const RopeConfig& config, int64_t head_width, const Segments& segments,
               const std::vector<int64_t>& offsets, const at::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  const auto activation = c10::typeMetaToScalarType(options.dtype());
  const auto type = activation == at::kDouble ? at::kDouble : at::kFloat;
  // Only `dynamic` has frequencies that depend on the sequence.
  const at::Tensor shared = inverse_frequencies(config, head_width, 0, type);
  std::vector<at::Tensor> angles(segments.count());
  for (int64_t i = 0; i < segments.count(); ++i) {
    const int64_t end = offsets[i] + segments.length(i);
    const at::Tensor f = config.type == RopeConfig::Type::dynamic
                             ? inverse_frequencies(config, head_width, end, type)
                             : shared;
    angles[i] = at::outer(at::arange(offsets[i], end, f.options()), f);  // [T_i,d/2]
  }
  const at::Tensor angle = copy_to_device(at::cat(angles, 0), options.device());  // [T,d/2]
  cos_ = angle.cos().mul_(config.attention_factor).to(options);
  sin_ = angle.sin().mul_(config.attention_factor).to(options);
}

at::Tensor Rotary::operator()(const at::Tensor& x) const {
  return rotate_half(x, cos_, sin_);
}

}  // namespace excitor
