#include <excitor/model/step.h>

#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <excitor/util/random.h>

namespace excitor {
namespace {

/// A random generator of the device with this seed. That of a GPU is a copy of ATen's own, whose class has
/// CUDA's headers: its numbers are others than a CPU's.
at::Generator generator_of(at::Device device, uint64_t seed) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>(seed);
  at::Generator generator = at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(seed);
  return generator;
}

}  // namespace

Step::Step(Segments segments, Rotary rotary, std::optional<StepNoise> noise,
           std::shared_ptr<const PassState> state)
    : shared_(std::make_shared<const Shared>(
          Shared{std::move(segments), std::move(rotary), std::move(noise), std::move(state)})) {}

Step Step::with_rows(at::Tensor rows) const {
  Step copy = *this;
  copy.rows_ = std::move(rows);
  return copy;
}

at::Tensor Step::dropout_mask(uint64_t stream, double p, const at::Tensor& x) const {
  if (!is_training()) return {};
  const at::NoGradGuard no_grad;
  const Segments& all = segments();
  at::Tensor mask = at::empty({all.tokens(), x.size(1)}, x.options());
  for (int64_t i = 0; i < all.count(); ++i) {
    const uint64_t seed = Random(shared_->noise->key ^ stream, shared_->noise->segment_keys[i]).next_u64();
    mask.narrow(0, all.begin(i), all.length(i)).bernoulli_(1 - p, generator_of(x.device(), seed));
  }
  mask.mul_(1 / (1 - p));
  return rows_.defined() ? mask.index_select(0, rows_) : mask;
}

}  // namespace excitor
