// Rotary position embedding (arXiv 2104.09864) with the scalings that LLaMA checkpoints use.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/segments.h>

namespace excitor {

/// A resolved rope section of config.json.
struct RopeConfig {
  enum class Type { standard, linear, dynamic, llama3, yarn };
  Type type = Type::standard;
  double theta = 10000.0;
  int64_t max_position_embeddings = 2048;
  double factor = 1.0;
  double original_max_position_embeddings = 2048;  ///< llama3, yarn
  double low_freq_factor = 1.0;                    ///< llama3
  double high_freq_factor = 4.0;                   ///< llama3
  double beta_fast = 32.0;                         ///< yarn
  double beta_slow = 1.0;                          ///< yarn
  double attention_factor = 1.0;                   ///< yarn: cos and sin are multiplied by it
  bool truncate = true;                            ///< yarn: round the correction range to whole dimensions
};

/// Angles per position and pair: f_j [d/2]. `length` matters to `dynamic` only: the longest position + 1.
/// Computed in `type` (fp32 as transformers does; fp64 in tests).
at::Tensor inverse_frequencies(const RopeConfig& config, int64_t head_width, int64_t length,
                               at::ScalarType type);

/// cos and sin of the tokens of one step, in the type of the activations.
class Rotary {
 public:
  /// `offsets[i]` tokens of sequence i came before (its cache). `options` gives device and activation type.
  Rotary(const RopeConfig& config, int64_t head_width, const Segments& segments,
         const std::vector<int64_t>& offsets, const at::TensorOptions& options);

  /// x [T,h,d] -> rotated [T,h,d].
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor cos_;  // [T,d/2]
  at::Tensor sin_;  // [T,d/2]
};

}  // namespace excitor
