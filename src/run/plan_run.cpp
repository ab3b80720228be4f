#include <excitor/run/plan_run.h>

#include <algorithm>
#include <cmath>
#include <exception>

#include <excitor/data/sampler.h>
#include <excitor/device/device.h>
#include <excitor/model/checkpoint.h>
#include <excitor/run/base_model.h>
#include <excitor/train/schedule.h>
#include <excitor/util/system.h>

namespace excitor {

namespace {

/// The most examples of one step: a step lies within an epoch, which holds each file as often as its weight
/// says.
int64_t most_examples_of_step(const RunConfig& config, const Dataset& dataset) {
  double repetitions = 1;
  for (const DataFileSettings& file : config.data.train)
    repetitions = std::max(repetitions, std::ceil(file.weight));
  const int64_t of_step = config.train.examples_per_step(/*processes=*/1);
  const double of_epoch = repetitions * static_cast<double>(dataset.size());
  return of_epoch < static_cast<double>(of_step) ? static_cast<int64_t>(of_epoch) : of_step;
}

}  // namespace

int64_t largest_micro_batch_tokens(const RunConfig& config, const Dataset& dataset) {
  const MicroBatchLimits limits = micro_batch_limits(config);
  const int64_t examples = most_examples_of_step(config, dataset);
  int64_t longest = 0;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.tokens(i));
  if (!limits.packing) return longest * std::min(limits.max_examples, examples);
  return std::max(longest, std::min(limits.max_tokens, examples * longest));
}

int64_t largest_micro_batch_images(const RunConfig& config, const Dataset& dataset) {
  const MicroBatchLimits limits = micro_batch_limits(config);
  const int64_t examples = most_examples_of_step(config, dataset);
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

int64_t planned_steps(const RunConfig& config, const Dataset& dataset, const std::vector<LoadedFile>& files) {
  const int64_t examples = std::max<int64_t>(1, dataset.size() - config.data.val_size);
  const Sampler sampler(
      {.examples = examples,
       .global_batch_size = config.train.examples_per_step(config.distributed.processes_to_start()),
       .weights = weighted_ranges(files, examples)});
  return LearningRateSchedule(config.train, sampler.steps_per_epoch()).total_steps();
}

int64_t needed_bytes(const RunConfig& config, const MemoryPlan& plan) {
  if (config.distributed.on_gpu()) return plan.total();
  const int64_t processes = config.distributed.processes_to_start();
  const std::string& folder = config.model.path;
  const bool is_mapped = !config.model.init && !config.distributed.shard_base &&
                         stored_type(folder) == resolve_dtype(config.model.dtype, at::kCPU, folder);
  return processes * plan.total() - (is_mapped ? (processes - 1) * plan.weights : 0);
}

std::optional<int64_t> free_bytes(const DistributedSettings& distributed) {
  if (!distributed.on_gpu()) return available_memory_bytes();
  try {
    int64_t least = INT64_MAX;
    for (int64_t rank = 0; rank < distributed.processes_to_start(); ++rank) {
      const ComputeDevice device = open_gpu(distributed.gpu_of(rank));
      const GpuProperties gpu = device.cuda->properties(device.gpu());
      const double allowed = distributed.gpu_memory_fraction * static_cast<double>(gpu.total_bytes);
      least = std::min({least, gpu.free_bytes, static_cast<int64_t>(allowed)});
    }
    return least;
  } catch (const std::exception&) {  // ours, or CUDA's own
    return std::nullopt;
  }
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
