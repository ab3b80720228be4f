// The memory plan of a configuration over its data.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/run/run_config.h>
#include <excitor/train/memory_plan.h>

namespace excitor {

/// The most tokens that one micro-batch of these examples can hold.
int64_t largest_micro_batch_tokens(const RunConfig& config, const Dataset& dataset);

/// The most images that one micro-batch of these examples can show.
int64_t largest_micro_batch_images(const RunConfig& config, const Dataset& dataset);

/// Optimiser steps of a run over all of `dataset` but what data.val_size holds back. `files`: those it was
/// read from.
int64_t planned_steps(const RunConfig& config, const Dataset& dataset, const std::vector<LoadedFile>& files);

/// Bytes that `plan`, of each of the processes on this machine, takes of the memory that free_bytes() tells
/// of: a GPU's is that of one process; weights that stay mapped from their files are there once for all.
int64_t needed_bytes(const RunConfig& config, const MemoryPlan& plan);

/// Bytes that are free where the run computes: in main memory, or on that of its GPUs which has the fewest,
/// within distributed.gpu_memory_fraction. Nothing where a GPU can't be opened.
std::optional<int64_t> free_bytes(const DistributedSettings& distributed);

/// Of one of `processes`.
MemoryPlan plan_run(const RunConfig& config, const LlamaConfig& model, const Dataset& dataset,
                    int64_t processes);

}  // namespace excitor
