// Causal attention over flat tokens: one fused call a segment, no score matrix, grouped key/value heads not
// repeated.
#include <limits>
#include <tuple>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>

namespace excitor {
namespace {

/// [S,h,d] as the operator wants it: [1,h,S,d], a view. It reads heads with a last stride of one only (and
/// does not check).
at::Tensor heads_first(const at::Tensor& x) {
  return (x.stride(-1) == 1 ? x : x.contiguous()).transpose(0, 1).unsqueeze(0);
}

/// The same of segment i of [T,h,d].
at::Tensor heads_first(const at::Tensor& x, const Segments& segments, int64_t i) {
  return heads_first(x.narrow(0, segments.begin(i), segments.length(i)));
}

/// [1,h,T_i,d] -> [T_i,h,d]
at::Tensor tokens_first(const at::Tensor& x) {
  return x.squeeze(0).transpose(0, 1);
}

at::Tensor join(const std::vector<at::Tensor>& parts) {
  return parts.size() == 1 ? parts[0].contiguous() : at::cat(parts, 0);
}

/// What the backward pass of one segment needs besides q, k and v.
struct SegmentState {
  at::Tensor out;        // [1,H,T_i,d]
  at::Tensor logsumexp;  // [1,H,T_i]
};

}  // namespace

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Segments& segments) {
  std::vector<SegmentState> states(segments.count());
  std::vector<at::Tensor> parts(segments.count());
  at::Tensor output;
  {
    const at::NoGradGuard no_grad;
    for (int64_t i = 0; i < segments.count(); ++i) {
      std::tie(states[i].out, states[i].logsumexp) = at::_scaled_dot_product_flash_attention_for_cpu(
          heads_first(q, segments, i), heads_first(k, segments, i), heads_first(v, segments, i), 0.0,
          /*is_causal=*/true);
      parts[i] = tokens_first(states[i].out);
    }
    output = join(parts);
  }
  auto backward = [q = q.detach(), k = k.detach(), v = v.detach(), segments, states = std::move(states)](
                      const at::Tensor& grad, const std::vector<bool>&) {
    std::vector<at::Tensor> dq(segments.count()), dk(segments.count()), dv(segments.count());
    for (int64_t i = 0; i < segments.count(); ++i) {
      const auto [gq, gk, gv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          heads_first(grad, segments, i), heads_first(q, segments, i), heads_first(k, segments, i),
          heads_first(v, segments, i), states[i].out, states[i].logsumexp, 0.0, /*is_causal=*/true);
      dq[i] = tokens_first(gq), dk[i] = tokens_first(gk), dv[i] = tokens_first(gv);
    }
    return std::vector<at::Tensor>{join(dq), join(dk), join(dv)};
  };
  return attach_backward("CausalAttention", output, {q, k, v}, std::move(backward));
}

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const at::NoGradGuard no_grad;
  const int64_t tokens = q.size(0), total = k.size(0);
  std::optional<at::Tensor> mask;
  if (tokens > 1 && tokens < total) {  // token t of the new ones sees total - tokens + t + 1 keys
    mask = at::full({tokens, total}, -std::numeric_limits<double>::infinity(), q.options())
               .triu_(total - tokens + 1);
  }
  const bool is_causal = tokens > 1 && tokens == total;
  const auto result = at::_scaled_dot_product_flash_attention_for_cpu(heads_first(q), heads_first(k),
                                                                      heads_first(v), 0.0, is_causal, mask);
  return tokens_first(std::get<0>(result)).contiguous();
}

}  // namespace excitor
