// Random initial values. Each block of kBlock elements has its own stream, so that neither the number of
// threads nor the order of parameters changes a value. The fp32 values come first: bf16, fp16 and fp64
// parameters are their conversions, and a GPU gets what a CPU would have.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <excitor/tensor/parameter_set.h>
#include <excitor/util/random.h>

namespace excitor {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kBlocksPerThread = 16;

/// Box–Muller in single precision: two values from one 64-bit number, 32 bits for the radius (up to 6.6
/// standard deviations) and 24 for the angle. Three times faster than double precision and enough for a
/// start.
void fill_normal(std::span<float> values, double mean, double standard_deviation, Random random) {
  const auto shift = static_cast<float>(mean);
  const auto scale = static_cast<float>(standard_deviation);
  for (size_t i = 0; i < values.size(); i += 2) {
    const uint64_t bits = random.next_u64();
    const float positive = (static_cast<float>(bits >> 32) + 0.5F) * 0x1p-32F;  // (0, 1]
    const float turn = static_cast<float>(bits & 0xFFFFFF) * 0x1p-24F;          // [0, 1)
    const float radius = scale * std::sqrt(-2.0F * std::log(positive));
    const float angle = 2.0F * std::numbers::pi_v<float> * turn;
    values[i] = shift + radius * std::cos(angle);
    if (i + 1 < values.size()) values[i + 1] = shift + radius * std::sin(angle);
  }
}

void fill_uniform(std::span<float> values, double half_width, Random random) {
  for (float& value : values) value = static_cast<float>((2.0 * random.uniform() - 1.0) * half_width);
}

void fill_block(std::span<float> values, const Init& init, Random random) {
  if (init.kind == Init::Kind::normal) {
    fill_normal(values, init.mean, init.scale, random);
  } else {
    fill_uniform(values, init.scale, random);
  }
}

void fill_buffer(std::span<float> values, const Init& init, uint64_t seed, uint64_t stream) {
  const auto size = static_cast<int64_t>(values.size());
  at::parallel_for(0, (size + kBlock - 1) / kBlock, kBlocksPerThread, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBlock;
      const auto part = values.subspan(begin, std::min(kBlock, size - begin));
      fill_block(part, init, Random(seed, stream ^ static_cast<uint64_t>(block)));
    }
  });
}

}  // namespace

void fill_random(at::Tensor& tensor, const Init& init, uint64_t seed, std::string_view name) {
  if (init.kind == Init::Kind::base_weight)
    throw std::logic_error("fill_random: a base weight is not random");
  const at::NoGradGuard no_grad;
  if (init.kind == Init::Kind::constant) {
    tensor.fill_(init.mean);
    return;
  }
  const bool in_place = tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous();
  const at::Tensor buffer = in_place ? tensor : at::empty(tensor.sizes(), at::kFloat);
  fill_buffer({buffer.mutable_data_ptr<float>(), static_cast<size_t>(buffer.numel())}, init, seed,
              stream_of(name));
  if (!in_place) tensor.copy_(buffer);
}

}  // namespace excitor
