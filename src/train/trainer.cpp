#include <excitor/train/trainer.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>
#include <excitor/tensor/out_of_memory.h>
#include <excitor/train/batch.h>
#include <excitor/train/evaluation.h>
#include <excitor/util/log.h>
#include <excitor/util/random.h>

#include "step_reduction.h"

namespace excitor {
namespace {

/// Streams of the run's seed.
constexpr std::string_view kDropoutStream = "dropout";
constexpr std::string_view kCropStream = "image crop";

Sampler::Options sampler_options(const TrainingTask& task) {
  return {.examples = task.dataset.size(),
          .global_batch_size = task.settings.examples_per_step(task.communicator.size()),
          .shuffle = task.shuffle,
          .seed = static_cast<uint64_t>(task.settings.seed),
          .weights = task.weights};
}

AdamW::Options optimizer_options(const TrainSettings& s) {
  return {.beta1 = s.adam_beta1,
          .beta2 = s.adam_beta2,
          .epsilon = s.adam_epsilon,
          .weight_decay = s.weight_decay};
}

int64_t count_labels(const std::vector<int64_t>& examples, const Dataset& dataset) {
  int64_t labels = 0;
  for (const int64_t index : examples) labels += dataset.labels(index);
  return labels;
}

/// The processes of a sharded base wait for each other in every layer: none can begin a step anew alone.
void check_can_split(const Llama& model, int64_t step) {
  if (!model.weights().sharded()) return;
  throw Error(fmt::format(
      "step {}: memory ran out; with distributed.shard_base micro-batches can't be made smaller on the way, "
      "as "
      "all processes take part in each: lower train.micro_batch_size (or train.micro_batch_tokens), or take "
      "train.gradient_checkpointing",
      step));
}

std::vector<TrainedBy> groups_of(const TrainingTask& task) {
  std::vector<TrainedBy> groups;
  for (const auto& entry : task.parameters.entries())
    groups.push_back(task.trained_by ? task.trained_by(entry.name) : TrainedBy::everything);
  return groups;
}

/// For JointSampler: which examples show an image, where batches are to hold one kind alone.
std::vector<bool> kinds_to_keep_apart(const TrainingTask& task, const std::vector<TrainedBy>& groups) {
  std::vector<bool> shows_image;
  if (std::ranges::find(groups, TrainedBy::texts) == groups.end()) return shows_image;
  for (int64_t i = 0; i < task.dataset.size(); ++i) shows_image.push_back(!task.dataset.image(i).empty());
  return shows_image;
}

}  // namespace

Trainer::Trainer(const TrainingTask& task)
    : task_(task),
      groups_(groups_of(task)),
      sampler_(sampler_options(task), kinds_to_keep_apart(task, groups_)),
      schedule_(task.settings, sampler_.steps_per_epoch()),
      optimizer_(task.parameters, optimizer_options(task.settings)),
      scaler_(task.model.activation_type() == at::kHalf),
      text_passes_(task.model.weights().gathers),
      image_passes_(task.model.weights().gathers),
      reduction_(std::make_unique<StepReduction>(task.parameters, task.communicator)) {
  for (const auto& entry : task.parameters.entries()) {
    never_moved_.insert(entry.name);
    steps_watched_[entry.name] = 0;
  }
}

Trainer::~Trainer() = default;

int64_t Trainer::reduced_bytes() const {
  return reduction_->bytes();
}

StepMetrics Trainer::step() {
  const auto begin = std::chrono::steady_clock::now();
  StepMetrics metrics;
  metrics.examples = sampler_.global_batch(steps_done_);
  metrics.label_tokens = count_labels(metrics.examples, task_.dataset);
  metrics.learning_rate = schedule_.learning_rate(steps_done_);

  task_.communicator.begin(fmt::format("step {}", steps_done_ + 1));
  forward_backward(metrics);
  if (metrics.is_finite) optimizer_.step(metrics.learning_rate);

  metrics.step = ++steps_done_;
  metrics.epoch = sampler_.epoch_after(steps_done_);
  metrics.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return metrics;
}

void Trainer::forward_backward(StepMetrics& metrics) {
  const std::vector<int64_t> share = share_of_rank(metrics.examples, task_.communicator.rank(),
                                                   task_.communicator.size(), task_.dataset, task_.limits);
  const BatchContent content = content_of(metrics.examples);
  do {
    const at::Tensor own_loss = accumulate(share, metrics);
    drop_gradients_of_others(content);
    StepCounts own{.tokens = metrics.tokens};
    if (task_.requests) own.requests = task_.requests();
    reduction_->add_up(task_.parameters, own_loss, own);
    unscale_gradients();
    read(clip_grad_norm(task_.parameters, task_.settings.max_grad_norm), metrics);
    check_gradients(content);
    metrics.is_finite = std::isfinite(metrics.loss) && std::isfinite(metrics.grad_norm);
    // Gradients beyond fp16's range call for a smaller scale; a loss that is not finite does not.
  } while (!metrics.is_finite && std::isfinite(metrics.loss) && scaler_.back_off());
  if (!metrics.is_finite) return;
  scaler_.succeed();
  note_moved();
}

void Trainer::read(const GradNorms& norms, StepMetrics& metrics) {
  const at::Tensor values =
      at::cat({norms.total.view({1}), norms.each, reduction_->values()}).to(at::kCPU, at::kDouble);
  const std::span<const double> host(values.const_data_ptr<double>(), static_cast<size_t>(values.numel()));
  const std::span<const double> each = host.subspan(1, norms.names.size());
  const StepSums all = reduction_->finish(task_.parameters, host.subspan(1 + each.size()));
  metrics.loss = all.loss / scaler_.scale();
  metrics.tokens = all.tokens;
  // A repeated step (back_off) must not forget what was asked for in the first try.
  if (all.requests.stop_signal != 0) metrics.requests.stop_signal = all.requests.stop_signal;
  metrics.requests.save |= all.requests.save;
  metrics.grad_norm = host.front();
  norms_.clear();
  for (size_t i = 0; i < each.size(); ++i) {
    if (task_.parameters.at(norms.names[i]).grad().defined()) norms_[norms.names[i]] = each[i];
  }
}

at::Tensor Trainer::accumulate(const std::vector<int64_t>& examples, StepMetrics& metrics) {
  const double weight = scaler_.scale() / static_cast<double>(metrics.label_tokens);
  for (;;) {
    task_.parameters.clear_gradients();
    metrics.tokens = 0;
    try {
      at::Tensor total;
      const auto micro_batches = lay_into_micro_batches(examples, task_.dataset, task_.limits);
      JoinedPasses& passes = content_of(metrics.examples).images ? image_passes_ : text_passes_;
      for (const auto& indices : micro_batches) {
        passes.compute([&] {
          const at::Tensor loss = micro_batch_loss(indices, weight, metrics);
          run_backward(loss);
          total = total.defined() ? total.add_(loss.detach()) : loss.detach();
        });
      }
      join_passes(passes, static_cast<int64_t>(micro_batches.size()), metrics.examples);
      return total;
    } catch (const std::exception& error) {
      if (is_out_of_memory(error)) check_can_split(task_.model, steps_done_ + 1);
      if (!is_out_of_memory(error) || !shrink_micro_batches(examples)) throw;
    }
  }
}

void Trainer::join_passes(JoinedPasses& passes, int64_t own, const std::vector<int64_t>& global_batch) {
  if (!task_.model.weights().sharded()) return;
  const auto tokens = [&](int64_t index) { return task_.dataset.tokens(index); };
  const int64_t shortest = *std::ranges::min_element(global_batch, {}, tokens);
  const int64_t most =
      most_micro_batches(global_batch, task_.communicator.size(), task_.dataset, task_.limits);
  StepMetrics ignored;
  for (int64_t pass = own; pass < most; ++pass)
    passes.join([&] { run_backward(micro_batch_loss({shortest}, /*weight=*/0, ignored)); });
}

bool Trainer::shrink_micro_batches(const std::vector<int64_t>& examples) {
  size_t most = 0;
  for (const auto& batch : lay_into_micro_batches(examples, task_.dataset, task_.limits))
    most = std::max(most, batch.size());
  if (most <= 1) return false;
  MicroBatchLimits& limits = task_.limits;
  limits.max_tokens = std::max<int64_t>(1, limits.max_tokens / 2);
  limits.max_examples = std::max<int64_t>(1, limits.max_examples / 2);
  log::warning(fmt::format("step {}: memory ran out; from here on micro-batches hold at most {}",
                           steps_done_ + 1,
                           limits.packing ? fmt::format("{} tokens", limits.max_tokens)
                                          : fmt::format("{} examples", limits.max_examples)));
  return true;
}

std::vector<std::vector<int64_t>> Trainer::micro_batches_of_all(
    const std::vector<int64_t>& global_batch) const {
  std::vector<std::vector<int64_t>> all;
  for (int64_t rank = 0; rank < task_.communicator.size(); ++rank) {
    const auto share =
        share_of_rank(global_batch, rank, task_.communicator.size(), task_.dataset, task_.limits);
    for (auto& batch : lay_into_micro_batches(share, task_.dataset, task_.limits))
      all.push_back(std::move(batch));
  }
  return all;
}

int64_t Trainer::probe_memory() {
  int64_t most = 0;
  std::vector<int64_t> largest;
  for (int64_t step = 0; step < std::min(sampler_.steps_per_epoch(), total_steps()); ++step) {
    for (auto& batch : micro_batches_of_all(sampler_.global_batch(step))) {
      int64_t tokens = 0;
      for (const int64_t index : batch) tokens += task_.dataset.tokens(index);
      if (tokens <= most) continue;
      most = tokens;
      largest = std::move(batch);
    }
  }
  probe(largest);
  return most;
}

void Trainer::probe(const std::vector<int64_t>& examples) {
  StepMetrics ignored{.examples = examples};
  ignored.label_tokens = count_labels(examples, task_.dataset);
  accumulate(examples, ignored);
  task_.parameters.clear_gradients();
}

void Trainer::unscale_gradients() {
  if (scaler_.scale() == 1) return;
  const at::NoGradGuard no_grad;
  for (const auto& entry : task_.parameters.entries()) {
    if (entry.tensor.grad().defined()) entry.tensor.grad().div_(scaler_.scale());
  }
}

BatchContent Trainer::content_of(const std::vector<int64_t>& examples) const {
  BatchContent content;
  for (const int64_t index : examples)
    (task_.dataset.image(index).empty() ? content.texts : content.images) = true;
  return content;
}

void Trainer::drop_gradients_of_others(const BatchContent& content) {
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (!content.trains(groups_[i])) task_.parameters.entries()[i].tensor.mutable_grad().reset();
  }
}

void Trainer::check_gradients(const BatchContent& content) {
  const bool is_new = (content.texts && !checked_.texts) || (content.images && !checked_.images);
  if (!is_new) return;
  checked_ = {.texts = checked_.texts || content.texts, .images = checked_.images || content.images};
  std::vector<std::string> missing;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const auto& [name, tensor] = task_.parameters.entries()[i];
    if (content.trains(groups_[i]) && !tensor.grad().defined()) missing.push_back(name);
  }
  if (missing.empty()) return;
  throw std::logic_error(fmt::format("{} of {} parameters get no gradient from the loss, e.g. {}",
                                     missing.size(), groups_.size(), missing.front()));
}

void Trainer::note_moved() {
  constexpr int64_t kStepsWatched = 3;
  newly_still_.clear();
  for (const auto& [name, norm] : norms_) {
    const auto watched = steps_watched_.find(name);
    if (watched == steps_watched_.end()) continue;
    if (norm > 0) never_moved_.erase(name);
    if (norm == 0 && ++watched->second < kStepsWatched) continue;
    if (norm == 0) newly_still_.push_back(name);
    steps_watched_.erase(watched);
  }
}

std::map<std::string, double> Trainer::gradient_norms() const {
  std::map<std::string, double> squares;
  for (const auto& [name, norm] : norms_) squares[name_inside_layer(name)] += norm * norm;
  for (auto& [name, square] : squares) square = std::sqrt(square);
  return squares;
}

std::vector<NamedTensor> Trainer::state() const {
  std::vector<NamedTensor> state = optimizer_.state();
  for (NamedTensor& tensor : scaler_.state()) state.push_back(std::move(tensor));
  return state;
}

at::Tensor Trainer::micro_batch_loss(const std::vector<int64_t>& indices, double weight,
                                     StepMetrics& metrics) const {
  const LabelledBatch batch =
      make_batch(indices, task_.dataset, task_.model.device(),
                 {.features = task_.images,
                  .type = task_.model.activation_type(),
                  .draw = Random(task_.settings.seed, stream_of(kCropStream) + steps_done_).next_u64()});
  metrics.tokens += batch.real_tokens;
  StepNoise noise{.key = Random(task_.settings.seed, stream_of(kDropoutStream) + steps_done_).next_u64(),
                  .segment_keys = {}};
  for (const int64_t index : indices) noise.segment_keys.push_back(static_cast<uint64_t>(index));
  const at::Tensor hidden =
      task_.model.hidden(batch.tokens, {.bypass = &task_.bypass,
                                        .rows = batch.rows,
                                        .noise = std::move(noise),
                                        .images = batch.images,
                                        .recompute_layers = task_.settings.gradient_checkpointing});
  return cross_entropy(
      hidden, task_.model.head(&task_.bypass), batch.targets,
      {.weight = weight, .chunk_rows = logit_rows(task_.model.config().vocab_size, task_.model.device())});
}

void Trainer::resume(int64_t steps_done, const std::function<at::Tensor(const std::string&)>& state) {
  steps_done_ = steps_done;
  optimizer_.load_state(state);
  scaler_.load_state(state);
  never_moved_.clear();  // was told in the run's first steps, if any
  steps_watched_.clear();
}

}  // namespace excitor
