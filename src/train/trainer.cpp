#include <excitor/train/trainer.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>
#include <excitor/train/batch.h>
#include <excitor/util/random.h>

namespace excitor {
namespace {

/// Streams of the run's seed.
constexpr std::string_view kDropoutStream = "dropout";

Sampler::Options sampler_options(const TrainingTask& task) {
  return {.examples = task.dataset.size(),
          .global_batch_size = task.settings.examples_per_step(/*processes=*/1),
          .shuffle = task.shuffle,
          .seed = static_cast<uint64_t>(task.settings.seed)};
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

void check_gradients(const ParameterSet& parameters) {
  const auto missing = parameters.without_gradient();
  if (missing.empty()) return;
  throw std::logic_error(fmt::format("{} of {} parameters get no gradient from the loss, e.g. {}",
                                     missing.size(), parameters.size(), missing.front()));
}

/// Rows of logits that exist at a time: about 64 MiB of fp32.
int64_t chunk_rows_for(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 1024);
}

}  // namespace

Trainer::Trainer(const TrainingTask& task)
    : task_(task),
      sampler_(sampler_options(task)),
      schedule_(task.settings, sampler_.steps_per_epoch()),
      optimizer_(task.parameters, optimizer_options(task.settings)) {}

StepMetrics Trainer::step() {
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<int64_t> examples = sampler_.global_batch(steps_done_);
  StepMetrics metrics;
  metrics.label_tokens = count_labels(examples, task_.dataset);
  metrics.learning_rate = schedule_.learning_rate(steps_done_);

  task_.parameters.clear_gradients();
  at::Tensor loss = forward_backward(examples, metrics);
  if (steps_done_ == 0) check_gradients(task_.parameters);
  const at::Tensor norm = clip_grad_norm(task_.parameters, task_.settings.max_grad_norm);
  metrics.loss = loss.item<double>();
  metrics.grad_norm = norm.item<double>();
  metrics.is_finite = std::isfinite(metrics.loss) && std::isfinite(metrics.grad_norm);
  if (metrics.is_finite) optimizer_.step(metrics.learning_rate);

  metrics.step = ++steps_done_;
  metrics.epoch = sampler_.epoch_after(steps_done_);
  metrics.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return metrics;
}

at::Tensor Trainer::forward_backward(const std::vector<int64_t>& examples, StepMetrics& metrics) {
  const double weight = 1.0 / static_cast<double>(metrics.label_tokens);
  at::Tensor total;
  for (const auto& indices : lay_into_micro_batches(examples, task_.dataset, task_.limits)) {
    const at::Tensor loss = micro_batch_loss(indices, weight, metrics);
    run_backward(loss);
    total = total.defined() ? total.add_(loss.detach()) : loss.detach();
  }
  return total;
}

at::Tensor Trainer::micro_batch_loss(const std::vector<int64_t>& indices, double weight,
                                     StepMetrics& metrics) const {
  const LabelledBatch batch = make_batch(indices, task_.dataset, task_.model.device());
  metrics.tokens += batch.real_tokens;
  StepNoise noise{.key = Random(task_.settings.seed, stream_of(kDropoutStream) + steps_done_).next_u64(),
                  .segment_keys = {}};
  for (const int64_t index : indices) noise.segment_keys.push_back(static_cast<uint64_t>(index));
  const at::Tensor hidden = task_.model.hidden(
      batch.tokens, {.bypass = &task_.bypass, .rows = batch.rows, .noise = std::move(noise)});
  return cross_entropy(hidden, task_.model.head(&task_.bypass), batch.targets,
                       {.weight = weight, .chunk_rows = chunk_rows_for(task_.model.config().vocab_size)});
}

void Trainer::resume(int64_t steps_done, const std::function<at::Tensor(const std::string&)>& state) {
  steps_done_ = steps_done;
  optimizer_.load_state(state);
}

EvalMetrics evaluate_loss(const Llama& model, const ModelBypass* bypass, const Dataset& dataset,
                          const MicroBatchLimits& limits) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> all(dataset.size());
  for (int64_t i = 0; i < dataset.size(); ++i) all[i] = i;
  EvalMetrics metrics;
  double sum = 0;
  for (const auto& indices : lay_into_micro_batches(all, dataset, limits)) {
    const LabelledBatch batch = make_batch(indices, dataset, model.device());
    const at::Tensor hidden = model.hidden(batch.tokens, {.bypass = bypass, .rows = batch.rows});
    sum += cross_entropy(hidden, model.head(bypass), batch.targets,
                         {.chunk_rows = chunk_rows_for(model.config().vocab_size)})
               .item<double>();
    metrics.label_tokens += batch.labels();
  }
  metrics.loss = sum / static_cast<double>(metrics.label_tokens);
  return metrics;
}

}  // namespace excitor
