#include <excitor/interchange/rotary_layout.h>

namespace excitor {
namespace {

/// Exchanges the two dimensions that a head's rows are made of: [heads·outer·inner,…] ->
/// [heads·inner·outer,…].
at::Tensor exchange(const at::Tensor& rows, int64_t heads, int64_t outer, int64_t inner) {
  return rows.reshape({heads, outer, inner, -1}).transpose(1, 2).reshape(rows.sizes()).clone();
}

}  // namespace

at::Tensor rotary_rows_to_meta(const at::Tensor& rows, int64_t heads) {
  return exchange(rows, heads, 2, rows.size(0) / heads / 2);
}

at::Tensor rotary_rows_to_hugging_face(const at::Tensor& rows, int64_t heads) {
  return exchange(rows, heads, rows.size(0) / heads / 2, 2);
}

int64_t rotated_heads(const LlamaConfig& model, Projection site) {
  switch (site) {
    case Projection::q:
      return model.query_heads();
    case Projection::k:
      return model.key_heads();
    default:
      return 0;
  }
}

}  // namespace excitor
