// The training loop: it knows a frozen model, a bypass, a set of parameters and a dataset, and nothing of
// methods.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/data/sampler.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/train/adamw.h>
#include <excitor/train/schedule.h>
#include <excitor/train/train_settings.h>

namespace excitor {

/// What one optimiser step did.
struct StepMetrics {
  int64_t step = 0;  ///< from 1
  double epoch = 0;  ///< passes over the data so far
  double loss = 0;   ///< mean over the label tokens of the global batch, before the update
  double learning_rate = 0;
  double grad_norm = 0;  ///< before clipping
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  double seconds = 0;
  bool is_finite = true;  ///< false: loss or gradients were not, and the update was left out
};

/// Mean loss over a dataset.
struct EvalMetrics {
  double loss = 0;
  int64_t label_tokens = 0;
};

/// Everything a training run works on. What is referred to outlives the Trainer.
struct TrainingTask {
  const Llama& model;
  const ModelBypass& bypass;
  ParameterSet& parameters;
  const Dataset& dataset;
  TrainSettings settings;
  MicroBatchLimits limits;
  bool shuffle = true;
};

/// One run: `step()` until `finished()`. State is the parameters, the optimiser's moments and the step
/// number; everything random is a function of (seed, step).
class Trainer {
 public:
  explicit Trainer(const TrainingTask& task);

  int64_t total_steps() const { return schedule_.total_steps(); }
  int64_t steps_per_epoch() const { return sampler_.steps_per_epoch(); }
  int64_t steps_done() const { return steps_done_; }
  bool finished() const { return steps_done_ >= total_steps(); }

  /// forward and backward of the micro-batches, clip, update. Throws std::logic_error when a parameter gets
  /// no gradient in the first step.
  StepMetrics step();

  /// What a checkpoint holds besides the parameters and the step number, by name.
  std::vector<NamedTensor> state() const { return optimizer_.state(); }
  /// Goes on after `steps_done` steps; the parameters have been restored by the caller.
  void resume(int64_t steps_done, const std::function<at::Tensor(const std::string&)>& state);

 private:
  /// Accumulates gradients over the micro-batches; returns the mean loss and counts tokens into `metrics`.
  at::Tensor forward_backward(const std::vector<int64_t>& examples, StepMetrics& metrics);
  at::Tensor micro_batch_loss(const std::vector<int64_t>& indices, double weight, StepMetrics& metrics) const;

  TrainingTask task_;
  Sampler sampler_;
  LearningRateSchedule schedule_;
  AdamW optimizer_;
  int64_t steps_done_ = 0;
};

/// Loss of `bypass` (null: the base) over a whole dataset, without gradients, streaming sums only.
EvalMetrics evaluate_loss(const Llama& model, const ModelBypass* bypass, const Dataset& dataset,
                          const MicroBatchLimits& limits);

}  // namespace excitor
