#include <excitor/tensor/linear.h>

#include <ATen/ops/embedding.h>

#include <excitor/tensor/matmul.h>

namespace excitor {
namespace {

class DenseWeight : public LinearWeight {
 public:
  DenseWeight(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  int64_t in_features() const override { return weight_.size(1); }
  int64_t out_features() const override { return weight_.size(0); }
  at::Tensor apply(const at::Tensor& x) const override {
    // Types differ only when activations and base were asked for in different types; `to` is free otherwise.
    const at::Tensor weight = weight_.to(x.scalar_type());
    at::Tensor y = matmul_nt(x, weight);
    return bias_.defined() ? y.add_(bias_) : y;
  }
  at::Tensor apply_transposed(const at::Tensor& dy) const override {
    return matmul_nn(dy, weight_.to(dy.scalar_type()));
  }
  at::Tensor add_transposed(at::Tensor dx, const at::Tensor& dy) const override {
    return add_matmul_nt(std::move(dx), dy, weight_.to(dy.scalar_type()).t());
  }
  at::Tensor rows(const at::Tensor& ids) const override { return at::embedding(weight_, ids); }
  at::Tensor dense() const override { return weight_; }
  at::Tensor bias() const override { return bias_; }

 private:
  at::Tensor weight_;  // [out,in]
  at::Tensor bias_;    // [out] or undefined
};

}  // namespace

Linear Linear::dense(at::Tensor weight, at::Tensor bias) {
  return Linear(std::make_shared<const DenseWeight>(std::move(weight), std::move(bias)));
}

}  // namespace excitor
