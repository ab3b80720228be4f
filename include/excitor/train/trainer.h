// The training loop: it knows a frozen model, a bypass, a set of parameters and a dataset, and nothing of
// methods.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/data/joint_sampler.h>
#include <excitor/data/sampler.h>
#include <excitor/dist/communicator.h>
#include <excitor/model/llama.h>
#include <excitor/model/trained_by.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/train/adamw.h>
#include <excitor/train/loss_scaler.h>
#include <excitor/train/schedule.h>
#include <excitor/train/step_metrics.h>
#include <excitor/train/train_settings.h>
#include <excitor/vision/image_features.h>

namespace excitor {

/// Everything a training run works on. What is referred to outlives the Trainer.
struct TrainingTask {
  Communicator& communicator;
  const Llama& model;
  const ModelBypass& bypass;
  ParameterSet& parameters;
  const Dataset& dataset;
  TrainSettings settings;
  MicroBatchLimits limits;
  bool shuffle = true;
  std::vector<WeightedRange> weights = {};  ///< of the dataset's files; empty: 1
  const ImageFeatures* images = nullptr;    ///< of the examples' images; null: they are not shown
  /// Of each parameter; null: all are everybody's. Where some are those of texts alone, a global batch holds
  /// texts or images, not both, and moves what is its own: no other gradient, moment or step count changes.
  std::function<TrainedBy(std::string_view parameter)> trained_by = {};
  /// Asked at the end of each step for what was requested of this process.
  std::function<StepRequests()> requests = {};
};

class StepReduction;

/// One run: `step()` until `finished()`, in each of the processes alike. Each computes its share of the
/// global batch; gradients and sums are then added up. State is the parameters, the optimiser's moments and
/// the step number; everything random is a function of (seed, step).
class Trainer {
 public:
  explicit Trainer(const TrainingTask& task);
  ~Trainer();

  int64_t total_steps() const { return schedule_.total_steps(); }
  int64_t steps_per_epoch() const { return sampler_.steps_per_epoch(); }
  int64_t steps_done() const { return steps_done_; }
  bool finished() const { return steps_done_ >= total_steps(); }
  /// Bytes that the processes add up in a step; 0 with one process.
  int64_t reduced_bytes() const;

  /// forward and backward of this process's micro-batches, reduce, clip, update. Throws std::logic_error when
  /// a parameter gets no gradient in the first step that trains it, CommunicationError when another process
  /// is missing; the state is then that of the step before. When memory runs out the micro-batches are made
  /// smaller, for this and all later steps, and the step is computed again; with single examples already the
  /// allocator's exception goes on (is_out_of_memory() knows it).
  StepMetrics step();

  /// Computes the largest micro-batch of the first epoch and drops its gradients: whether memory suffices
  /// shows now and not hours later. Returns its tokens.
  int64_t probe_memory();

  /// 2-norms of the last step's gradients before clipping, joint over the layers, by the name inside a layer
  /// ("self_attn.excitor_up.weight").
  std::map<std::string, double> gradient_norms() const;
  /// Names of the parameters whose gradients were zero in every step so far: what has not begun to learn.
  const std::set<std::string>& never_moved() const { return never_moved_; }
  /// Those among them for which the last step was the third that trains them.
  const std::vector<std::string>& newly_still() const { return newly_still_; }

  /// What a checkpoint holds besides the parameters and the step number, by name.
  std::vector<NamedTensor> state() const;
  /// Goes on after `steps_done` steps; the parameters have been restored by the caller.
  void resume(int64_t steps_done, const std::function<at::Tensor(const std::string&)>& state);

 private:
  /// Loss and gradients of metrics.examples, in metrics and in the parameters; smaller micro-batches and
  /// smaller loss scales are tried as needed.
  void forward_backward(StepMetrics& metrics);
  /// Waits for the device, the only time in a step: loss, gradient norms and the sums over all processes come
  /// to the host in one read.
  void read(const GradNorms& norms, StepMetrics& metrics);
  /// Accumulates gradients over the micro-batches of this process; returns its part of the mean loss, times
  /// the loss scale (undefined where it has no example), and counts tokens into `metrics`.
  at::Tensor accumulate(const std::vector<int64_t>& examples, StepMetrics& metrics);
  /// Of every process.
  std::vector<std::vector<int64_t>> micro_batches_of_all(const std::vector<int64_t>& global_batch) const;
  /// With a sharded base: takes part in the passes of the others, until this process, which ran `own`, has
  /// made as many as the process with the most micro-batches of `global_batch`.
  void join_passes(JoinedPasses& passes, int64_t own, const std::vector<int64_t>& global_batch);
  at::Tensor micro_batch_loss(const std::vector<int64_t>& indices, double weight, StepMetrics& metrics) const;
  /// Halves the micro-batches; false when those of `examples` hold one example each already.
  bool shrink_micro_batches(const std::vector<int64_t>& examples);
  void probe(const std::vector<int64_t>& examples);
  BatchContent content_of(const std::vector<int64_t>& examples) const;
  /// Drops the gradients of parameters that a batch of this content does not train.
  void drop_gradients_of_others(const BatchContent& content);
  /// Throws std::logic_error for a parameter without the gradient that this content should give it, the first
  /// time that there is such content.
  void check_gradients(const BatchContent& content);
  void unscale_gradients();
  void note_moved();

  TrainingTask task_;
  std::vector<TrainedBy> groups_;  ///< of the parameters, in their order
  JointSampler sampler_;
  LearningRateSchedule schedule_;
  AdamW optimizer_;
  LossScaler scaler_;
  /// Micro-batches, forward and backward, of steps without and with an image: these may end at other layers.
  JoinedPasses text_passes_, image_passes_;
  std::unique_ptr<StepReduction> reduction_;
  std::map<std::string, double> norms_;  ///< of the last step's gradients, by the parameter's name
  std::set<std::string> never_moved_;
  std::map<std::string, int64_t> steps_watched_;  ///< that trained each of them
  std::vector<std::string> newly_still_;
  BatchContent checked_;  ///< by check_gradients()
  int64_t steps_done_ = 0;
};

}  // namespace excitor
