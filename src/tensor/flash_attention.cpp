// T tokens, S of a sequence with its cache, H query heads, G key/value heads, d head width.
#include "flash_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <excitor/tensor/autograd.h>

namespace excitor {
namespace {

constexpr double kNoDropout = 0;
constexpr bool kCausal = true, kNoDebugMask = false;

/// The kernels read heads with a last stride of one.
at::Tensor with_whole_heads(const at::Tensor& x) {
  return x.stride(-1) == 1 ? x : x.contiguous();
}

/// [S,h,d] -> [1,h,S,d], a view.
at::Tensor as_one_batch(const at::Tensor& x) {
  return x.transpose(0, 1).unsqueeze(0);
}

}  // namespace

bool takes_flash(const at::Tensor& q) {
  constexpr int64_t kWidest = 256, kMultiple = 8;
  const bool half = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  return q.is_cuda() && half && q.size(2) <= kWidest && q.size(2) % kMultiple == 0;
}

at::Tensor flash_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in,
                           const Segments& segments) {
  const at::Tensor q = with_whole_heads(q_in.detach()), k = with_whole_heads(k_in.detach()),
                   v = with_whole_heads(v_in.detach());
  const at::Tensor bounds = segments.boundaries(q.device());  // [N+1]
  const int64_t longest = segments.longest();
  at::Tensor output, logsumexp, random_state, unused;
  {
    const at::NoGradGuard no_grad;
    std::tie(output, logsumexp, random_state, unused, std::ignore) = at::_flash_attention_forward(
        q, k, v, bounds, bounds, longest, longest, kNoDropout, kCausal, kNoDebugMask);
  }
  auto backward = [=, output = output.detach()](const at::Tensor& grad, const std::vector<bool>&) {
    auto [dq, dk, dv] =
        at::_flash_attention_backward(grad.contiguous(), q, k, v, output, logsumexp, bounds, bounds, longest,
                                      longest, kNoDropout, kCausal, random_state, unused);
    return std::vector<at::Tensor>{dq, dk, dv};
  };
  return attach_backward("FlashAttention", output, {q_in, k_in, v_in}, std::move(backward));
}

at::Tensor dispatched_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                const std::optional<at::Tensor>& mask, bool is_causal) {
  const bool grouped = q.size(1) != k.size(1);
  const at::Tensor out =
      at::scaled_dot_product_attention(as_one_batch(q), as_one_batch(k), as_one_batch(v), mask, kNoDropout,
                                       is_causal, /*scale=*/std::nullopt, grouped);
  return out.squeeze(0).transpose(0, 1).contiguous();
}

}  // namespace excitor
