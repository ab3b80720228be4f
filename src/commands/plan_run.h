// The memory plan of a configuration over its data.
#pragma once

#include <excitor/commands/run_config.h>
#include <excitor/data/dataset.h>
#include <excitor/train/memory_plan.h>

namespace excitor {

/// The most tokens that one micro-batch of these examples can hold.
int64_t largest_micro_batch_tokens(const RunConfig& config, const Dataset& dataset);

/// The most images that one micro-batch of these examples can show.
int64_t largest_micro_batch_images(const RunConfig& config, const Dataset& dataset);

/// Of one of `processes`.
MemoryPlan plan_run(const RunConfig& config, const LlamaConfig& model, const Dataset& dataset,
                    int64_t processes);

}  // namespace excitor
