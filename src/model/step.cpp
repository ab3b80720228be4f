#include <excitor/model/step.h>

#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <excitor/util/random.h>

namespace excitor {

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
  at::Tensor mask = at::empty({all.tokens(), x.size(1)}, x.options().device(at::kCPU));
  for (int64_t i = 0; i < all.count(); ++i) {
    const uint64_t seed = Random(shared_->noise->key ^ stream, shared_->noise->segment_keys[i]).next_u64();
    mask.narrow(0, all.begin(i), all.length(i))
        .bernoulli_(1 - p, at::make_generator<at::CPUGeneratorImpl>(seed));
  }
  mask.mul_(1 / (1 - p));
  return (rows_.defined() ? mask.index_select(0, rows_.to(at::kCPU)) : mask).to(x.device());
}

}  // namespace excitor
