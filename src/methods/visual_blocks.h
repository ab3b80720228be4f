// Adapter V2's visual side: queries that look at an image's tokens in a small transformer (as released;
// timm's pre-norm blocks). N images, T tokens of an image, P width of the features, W of the blocks, Q
// queries, L = Q + T, D hidden width of the LLaMA.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/parameter_set.h>
#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

/// The defaults are the release's.
struct VisualBlocksSettings {
  int64_t visual_hidden_size = 768;  ///< W
  int64_t visual_blocks = 8;
  int64_t visual_heads = 16;

  void describe(Describer& d);
  void check(const std::string& path, Problems& problems) const;
  void add_parameters(int64_t feature_width, int64_t queries, int64_t hidden_size,
                      std::vector<ParameterSpec>& specs) const;
};

/// What those parameters compute.
class VisualBlocks {
 public:
  VisualBlocks(const ParameterSet& parameters, VisualBlocksSettings settings)
      : parameters_(parameters), settings_(settings) {}

  /// features [N,T,P] -> [N,Q,D]: projection and norm, queries before the tokens, blocks, the queries'
  /// outcome projected and normed.
  at::Tensor operator()(const at::Tensor& features) const;

 private:
  at::Tensor norm(const std::string& name, const at::Tensor& x) const;
  at::Tensor block(const std::string& name, const at::Tensor& x) const;
  at::Tensor attend(const std::string& name, const at::Tensor& x) const;

  const ParameterSet& parameters_;
  VisualBlocksSettings settings_;
};

}  // namespace excitor
