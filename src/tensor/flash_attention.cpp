// T tokens, S of a sequence with its cache, H query heads, G key/value heads, d head width.
#include "flash_attention.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
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

namespace {

/// Sequences of one length, two at least: cuDNN then takes them as a batch. It is faster where they are long
/// (on an H200 in bf16, 2 sequences of 2,047 tokens, by a third or more), but plans anew for each shape that
/// it meets, so sequences of many lengths are not for it; and it promises no equal bits.
bool takes_cudnn(const at::Tensor& q, const Segments& segments) {
  constexpr int64_t kFewest = 2, kShortest = 512, kWidest = 128;
  if (segments.count() < kFewest || segments.longest() < kShortest || q.size(2) > kWidest) return false;
  for (int64_t i = 0; i < segments.count(); ++i)
    if (segments.length(i) != segments.longest()) return false;
  return !at::globalContext().deterministicAlgorithms() &&
         at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();  // the GPU is new enough for it
}

/// N sequences of one length as a batch: [N·L,h,d] -> [N,h,L,d], a view.
at::Tensor as_batch(const at::Tensor& x, int64_t sequences) {
  return x.unflatten(0, {sequences, -1}).transpose(1, 2);
}

/// The inverse.
at::Tensor as_tokens(const at::Tensor& x) {
  return x.transpose(1, 2).flatten(0, 1).contiguous();
}

at::Tensor cudnn_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in,
                           int64_t sequences) {
  const at::Tensor q = as_batch(q_in.detach(), sequences), k = as_batch(k_in.detach(), sequences),
                   v = as_batch(v_in.detach(), sequences);
  at::Tensor output, logsumexp, cum_seq_q, cum_seq_k, seed, offset;
  c10::SymInt max_q, max_k;
  {
    const at::NoGradGuard no_grad;
    std::tie(output, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, seed, offset, std::ignore) =
        at::_scaled_dot_product_cudnn_attention(q, k, v, /*attn_bias=*/std::nullopt,
                                                /*compute_log_sumexp=*/true, kNoDropout, kCausal);
  }
  auto backward = [=, output = output.detach()](const at::Tensor& grad, const std::vector<bool>&) {
    auto [dq, dk, dv] = at::_scaled_dot_product_cudnn_attention_backward(
        as_batch(grad.contiguous(), sequences), q, k, v, output, logsumexp, seed, offset, /*attn_bias=*/{},
        cum_seq_q, cum_seq_k, max_q.expect_int(), max_k.expect_int(), kNoDropout, kCausal);
    return std::vector<at::Tensor>{as_tokens(dq), as_tokens(dk), as_tokens(dv)};
  };
  return attach_backward("CudnnAttention", as_tokens(output), {q_in, k_in, v_in}, std::move(backward));
}

}  // namespace

at::Tensor flash_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in,
                           const Segments& segments) {
  if (takes_cudnn(q_in, segments)) return cudnn_attention(q_in, k_in, v_in, segments.count());
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
