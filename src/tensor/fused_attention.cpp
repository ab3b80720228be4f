// Attention over flat tokens: scores exist for a block of queries at a time, keys behind the block are not
// touched, grouped key/value heads are not repeated.
// T tokens, L tokens of a segment, B of a block, n keys that a block sees, H query heads, G key/value heads,
// g = H/G queries of a key, d head width.
//
// Batched products, and not ATen's flash attention for CPUs: that one multiplies tiles through MKL one by
// one. Measured on 2 cores of an EPYC, 12 heads of 64, 245 tokens: 56 to 66 GFLOP/s, where batched products
// of the same sizes run at 170 (fp32) and 600 (bf16).
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>
#include <excitor/tensor/matmul.h>

#include "cpu_operators.h"
#include "flash_attention.h"

namespace excitor {
namespace {

/// fp32 for everything but fp64: the type of scores and of softmax.
at::ScalarType score_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// The type in which probabilities meet values: bf16 where the machine multiplies it, else the scores' type.
at::ScalarType product_type(const at::Tensor& x) {
  static const bool kBFloat16 = onednn_multiplies(at::kBFloat16);
  return x.scalar_type() == at::kBFloat16 && kBFloat16 ? at::kBFloat16 : score_type(x);
}

/// Segment i of [T,G·g,d] with heads first, in `type`: [G,g,L,d].
at::Tensor heads_first(const at::Tensor& x, const Segments& segments, int64_t i, int64_t groups,
                       at::ScalarType type) {
  const at::Tensor tokens = x.narrow(0, segments.begin(i), segments.length(i));
  return tokens.unflatten(1, {groups, -1})
      .permute({1, 2, 0, 3})
      .to(type, /*non_blocking=*/false, /*copy=*/false, at::MemoryFormat::Contiguous);
}

/// The inverse: [G,g,L,d] into segment i of [T,G·g,d].
void put_segment(at::Tensor& all, const Segments& segments, int64_t i, const at::Tensor& part) {
  all.narrow(0, segments.begin(i), segments.length(i)).copy_(part.permute({2, 0, 1, 3}).flatten(1, 2));
}

/// Rows [begin, begin + B) of [G,g,L,d] as one matrix a key head: [G,g·B,d].
at::Tensor block_rows(const at::Tensor& x, int64_t begin, int64_t rows) {
  return x.narrow(2, begin, rows).flatten(1, 2);
}

/// The first n tokens of [G,1,L,d]: [G,n,d].
at::Tensor first_keys(const at::Tensor& x, int64_t n) {
  return x.select(1, 0).narrow(1, 0, n);
}

/// Queries of a block: 128, less where the scores of long sequences would take more than 16 MiB.
int64_t block_length(int64_t heads, int64_t length) {
  constexpr int64_t kMost = 128, kLeast = 16, kScores = int64_t{4} << 20;
  return std::clamp(kScores / (heads * length), kLeast, kMost);
}

/// softmax(q kᵀ + causal) of the queries, divided by √d, that follow n - B earlier tokens. q [G,g·B,d],
/// k [G,n,d], both in the scores' type -> [G,g·B,n].
at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k, int64_t block) {
  const int64_t n = k.size(1);
  at::Tensor scores = at::bmm(q, k.transpose(1, 2));
  if (operators::cpu_causal_softmax_(scores, block)) return scores;
  const at::Tensor later = at::ones({block, block}, q.options().dtype(at::kBool)).triu_(1);  // [B,B]
  scores.unflatten(1, {-1, block})
      .narrow(3, n - block, block)
      .masked_fill_(later, -std::numeric_limits<double>::infinity());
  // In place where that is known to be sound: ATen promises it for no device.
  if (!scores.is_cpu()) return at::_softmax(scores, -1, /*half_to_float=*/false);
  return at::_softmax_out(scores, scores, -1, /*half_to_float=*/false);
}

/// The gradient of the scores from that of their probabilities, which may be overwritten.
at::Tensor score_gradients(at::Tensor dp, const at::Tensor& p, int64_t block) {
  if (operators::cpu_causal_softmax_backward_(dp, p, block)) return dp;
  return at::_softmax_backward_data(dp, p, -1, p.scalar_type());
}

/// One segment of the queries, keys and values, and what becomes of it.
class SegmentAttention {
 public:
  SegmentAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Segments& segments,
                   int64_t i)
      : length_(segments.length(i)),
        block_(block_length(q.size(1), length_)),
        scale_(1 / std::sqrt(static_cast<double>(q.size(2)))),
        q_(heads_first(q, segments, i, k.size(1), score_type(q)).mul(scale_)),
        k_(heads_first(k, segments, i, k.size(1), score_type(k))),
        v_(heads_first(v, segments, i, k.size(1), product_type(v))) {}

  /// [G,g,L,d]
  at::Tensor forward() const {
    at::Tensor out = at::empty(q_.sizes(), v_.options());
    for (int64_t begin = 0; begin < length_; begin += block_) {
      const int64_t rows = std::min(block_, length_ - begin), n = begin + rows;
      const at::Tensor p = probabilities(block_rows(q_, begin, rows), first_keys(k_, n), rows);
      const at::Tensor attended = at::bmm(p.to(v_.scalar_type()), first_keys(v_, n));  // [G,g·B,d]
      out.narrow(2, begin, rows).copy_(attended.unflatten(1, {-1, rows}));
    }
    return out;
  }

  struct Gradients {
    at::Tensor q;     // [G,g,L,d]
    at::Tensor k, v;  // [G,1,L,d]
  };

  /// `grad` [G,g,L,d] in the values' type. Probabilities are computed again.
  Gradients backward(const at::Tensor& grad) const {
    Gradients gradients{.q = at::empty(q_.sizes(), v_.options()),
                        .k = at::zeros(k_.sizes(), q_.options()),
                        .v = at::zeros(v_.sizes(), q_.options())};
    for (int64_t begin = 0; begin < length_; begin += block_)
      add_block(begin, std::min(block_, length_ - begin), grad, gradients);
    gradients.q.mul_(scale_);
    return gradients;
  }

 private:
  void add_block(int64_t begin, int64_t rows, const at::Tensor& grad, Gradients& gradients) const {
    const int64_t n = begin + rows;
    const at::ScalarType type = v_.scalar_type();
    const at::Tensor q = block_rows(q_, begin, rows), k = first_keys(k_, n);  // [G,g·B,d], [G,n,d]
    const at::Tensor dy = block_rows(grad, begin, rows);                      // [G,g·B,d]
    const at::Tensor p = probabilities(q, k, rows);                           // [G,g·B,n]
    const at::Tensor dp = at::bmm(dy, first_keys(v_, n).transpose(1, 2)).to(p.scalar_type());
    const at::Tensor ds = score_gradients(dp, p, rows).to(type);
    gradients.q.narrow(2, begin, rows).copy_(at::bmm(ds, k.to(type)).unflatten(1, {-1, rows}));
    first_keys(gradients.k, n).add_(at::bmm(ds.transpose(1, 2), q.to(type)));
    first_keys(gradients.v, n).add_(at::bmm(p.to(type).transpose(1, 2), dy));
  }

  int64_t length_;
  int64_t block_;
  double scale_;      // 1/√d
  at::Tensor q_;      // [G,g,L,d] in the scores' type, times the scale
  at::Tensor k_, v_;  // [G,1,L,d] in the scores' type, in the products' type
};

}  // namespace

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Segments& segments) {
  if (takes_flash(q)) return flash_attention(q, k, v, segments);
  at::Tensor output;
  {
    const at::NoGradGuard no_grad;
    output = at::empty_like(q, at::MemoryFormat::Contiguous);
    for (int64_t i = 0; i < segments.count(); ++i)
      put_segment(output, segments, i, SegmentAttention(q, k, v, segments, i).forward());
  }
  auto backward = [q = q.detach(), k = k.detach(), v = v.detach(), segments](const at::Tensor& grad,
                                                                             const std::vector<bool>&) {
    at::Tensor dq = at::empty_like(q, at::MemoryFormat::Contiguous);
    at::Tensor dk = at::empty_like(k, at::MemoryFormat::Contiguous);
    at::Tensor dv = at::empty_like(v, at::MemoryFormat::Contiguous);
    for (int64_t i = 0; i < segments.count(); ++i) {
      const at::Tensor dy = heads_first(grad, segments, i, k.size(1), product_type(v));
      const auto gradients = SegmentAttention(q, k, v, segments, i).backward(dy);
      put_segment(dq, segments, i, gradients.q);
      put_segment(dk, segments, i, gradients.k);
      put_segment(dv, segments, i, gradients.v);
    }
    return std::vector<at::Tensor>{dq, dk, dv};
  };
  return attach_backward("CausalAttention", output, {q, k, v}, std::move(backward));
}

namespace {

/// [S,h,d] as the operator wants it: [1,h,S,d], a view. It reads heads with a last stride of one only (and
/// does not check).
at::Tensor as_one_batch(const at::Tensor& x) {
  return (x.stride(-1) == 1 ? x : x.contiguous()).transpose(0, 1).unsqueeze(0);
}

}  // namespace

at::Tensor prompt_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!q.is_cpu()) return dispatched_attention(q, k, v, /*mask=*/std::nullopt, /*is_causal=*/false);
  const auto result =
      at::_scaled_dot_product_flash_attention_for_cpu(as_one_batch(q), as_one_batch(k), as_one_batch(v));
  return std::get<0>(result).squeeze(0).transpose(0, 1);
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
  if (!q.is_cpu()) return dispatched_attention(q, k, v, mask, is_causal);
  const auto result = at::_scaled_dot_product_flash_attention_for_cpu(as_one_batch(q), as_one_batch(k),
                                                                      as_one_batch(v), 0.0, is_causal, mask);
  return std::get<0>(result).squeeze(0).transpose(0, 1).contiguous();
}

}  // namespace excitor
