#include "plan_run.h"

#include <algorithm>

#include "session.h"

namespace excitor {

int64_t largest_micro_batch_tokens(const RunConfig& config, const Dataset& dataset) {
  const MicroBatchLimits limits = micro_batch_limits(config);
  const int64_t examples = config.train.examples_per_step(/*processes=*/1);
  int64_t longest = 0;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.tokens(i));
  if (!limits.packing) return longest * std::min(limits.max_examples, examples);
  return std::max(longest, std::min(limits.max_tokens, examples * longest));
}

int64_t largest_micro_batch_images(const RunConfig& config, const Dataset& dataset) {
  const MicroBatchLimits limits = micro_batch_limits(config);
  const int64_t examples = config.train.examples_per_step(/*processes=*/1);
  int64_t images = 0, shortest = limits.max_tokens;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    if (dataset.image(i).empty()) continue;
    ++images;
    shortest = std::min(shortest, dataset.tokens(i));
  }
  const int64_t fitting =
      limits.packing ? std::max<int64_t>(1, limits.max_tokens / shortest) : limits.max_examples;
  return std::min({images, examples, fitting});
}

MemoryPlan plan_run(const RunConfig& config, const LlamaConfig& model, const Dataset& dataset,
                    int64_t processes) {
  const at::Device device(config.distributed.on_gpu() ? at::kCUDA : at::kCPU);
  const at::ScalarType base_type = resolve_dtype(config.model.dtype, device, config.model.path);
  const Method& method = *config.method.method;
  const auto trainables = method.parameters(model);
  const VisualSettings* visual = config.vision ? config.method.method->visual() : nullptr;
  return plan_memory({.model = model,
                      .base_type = base_type,
                      .activation_type = activation_type(config.train.precision, base_type),
                      .trainables = trainables,
                      .micro_batch_tokens = largest_micro_batch_tokens(config, dataset),
                      .images = visual ? largest_micro_batch_images(config, dataset) : 0,
                      .visual_rows = visual ? visual->visual_rows.value_or(0) : 0,
                      .visual_width = visual ? visual->visual_width.value_or(0) : 0,
                      .recompute_layers = config.train.gradient_checkpointing,
                      .base_trains = method.trains_whole_model(),
                      .base_parts = config.distributed.shard_base ? processes : 1,
                      .processes = processes,
                      .device = device});
}

}  // namespace excitor
