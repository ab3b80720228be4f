// How much memory a run will take, before it takes any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/ScalarType.h>

#include <excitor/model/llama_config.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// What the estimate depends on.
struct MemoryNeeds {
  const LlamaConfig& model;
  at::ScalarType base_type;
  at::ScalarType activation_type;
  const std::vector<ParameterSpec>& trainables;
  int64_t micro_batch_tokens = 0;  ///< of the largest micro-batch
  int64_t images = 0;              ///< of that micro-batch
  int64_t visual_rows = 0;         ///< of an image's features
  int64_t visual_width = 0;
  bool recompute_layers = false;
  bool base_trains = false;  ///< method full: the frozen weights are not needed beside the trainable ones
  int64_t base_parts = 1;  ///< distributed.shard_base: processes that each hold a part of the frozen weights
  int64_t processes = 1;
  at::Device device = at::kCPU;
};

/// Bytes of one process.
struct MemoryPlan {
  int64_t weights = 0;      ///< the frozen base
  int64_t trainables = 0;   ///< with gradients, two moments and what processes reduce, fp32
  int64_t activations = 0;  ///< kept for the backward pass of the largest micro-batch
  int64_t logits = 0;       ///< of the rows that exist at a time

  int64_t total() const { return weights + trainables + activations + logits; }
  /// "weights 0.50 GiB, trainables 0.04, activations 1.21, logits 0.19: 1.94 GiB"
  std::string text() const;
};

/// An estimate from above, up to what allocators and libraries keep for themselves. Activations are counted
/// from the lowest layer with a trainable tensor upwards.
MemoryPlan plan_memory(const MemoryNeeds& needs);

}  // namespace excitor
