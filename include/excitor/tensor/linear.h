// A frozen linear map as a small value with two operations. Nothing here is a tensor that autograd knows.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <ATen/core/Tensor.h>

namespace excitor {

/// The matrix behind a Linear: dense today; quantised and sharded matrices are further subclasses. Backward
/// passes keep a handle to it, so whatever must be gathered or dequantised is gathered inside these
/// operations and dropped after.
class LinearWeight {
 public:
  virtual ~LinearWeight() = default;
  virtual int64_t in_features() const = 0;
  virtual int64_t out_features() const = 0;
  /// W x (+ bias): x [T,in] -> [T,out], in x's type, in memory of its own (callers add to it).
  virtual at::Tensor apply(const at::Tensor& x) const = 0;
  /// Wᵀ dy, the gradient of x: dy [T,out] -> [T,in], in dy's type, in memory of its own.
  virtual at::Tensor apply_transposed(const at::Tensor& dy) const = 0;
  /// dx + Wᵀ dy, in dx's memory or in new memory; `dx` must not be used afterwards.
  virtual at::Tensor add_transposed(at::Tensor dx, const at::Tensor& dy) const {
    return dx.add_(apply_transposed(dy));
  }
  /// Chosen rows of the matrix (embedding look-up): ids [T] int64 -> [T,in].
  virtual at::Tensor rows(const at::Tensor& ids) const = 0;
  /// The matrix itself [out,in] (merging, method full).
  virtual at::Tensor dense() const = 0;
  /// The bias [out], or an undefined tensor.
  virtual at::Tensor bias() const = 0;
};

/// A shared handle to a frozen matrix; copying it copies no weight.
class Linear {
 public:
  Linear() = default;
  explicit Linear(std::shared_ptr<const LinearWeight> weight) : weight_(std::move(weight)) {}
  /// A dense matrix [out,in] with an optional bias [out].
  static Linear dense(at::Tensor weight, at::Tensor bias = {});

  int64_t in_features() const { return weight_->in_features(); }
  int64_t out_features() const { return weight_->out_features(); }
  at::Tensor apply(const at::Tensor& x) const { return weight_->apply(x); }
  at::Tensor apply_transposed(const at::Tensor& dy) const { return weight_->apply_transposed(dy); }
  at::Tensor add_transposed(at::Tensor dx, const at::Tensor& dy) const {
    return weight_->add_transposed(std::move(dx), dy);
  }
  at::Tensor rows(const at::Tensor& ids) const { return weight_->rows(ids); }
  at::Tensor weight() const { return weight_->dense(); }
  at::Tensor bias() const { return weight_->bias(); }

 private:
  std::shared_ptr<const LinearWeight> weight_;
};

}  // namespace excitor
