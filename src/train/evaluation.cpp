// R rows with a label, V vocabulary.
#include <excitor/train/evaluation.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include <excitor/train/batch.h>

namespace excitor {
namespace {

/// Calls `visit` for each micro-batch of the whole dataset.
void for_each_micro_batch(const Dataset& dataset, const MicroBatchLimits& limits, at::Device device,
                          const std::function<void(const LabelledBatch&)>& visit) {
  std::vector<int64_t> all(dataset.size());
  std::iota(all.begin(), all.end(), 0);
  for (const auto& indices : lay_into_micro_batches(all, dataset, limits))
    visit(make_batch(indices, dataset, device));
}

double sum_of(const at::Tensor& x) {
  return x.sum(at::kDouble).item<double>();
}

/// Adds the sums over some rows. hidden [r,D], targets [r].
void add_rows(const Llama& model, const ModelBypass& bypass, const at::Tensor& base_hidden,
              const at::Tensor& tuned_hidden, const at::Tensor& targets, Comparison& sums) {
  const at::Tensor base = at::log_softmax(model.logits(base_hidden, nullptr), -1);    // [r,V]
  const at::Tensor tuned = at::log_softmax(model.logits(tuned_hidden, &bypass), -1);  // [r,V]
  const at::Tensor column = targets.unsqueeze(1);                                     // [r,1]
  sums.base_loss -= sum_of(at::gather(base, 1, column));
  sums.tuned_loss -= sum_of(at::gather(tuned, 1, column));
  sums.kl += sum_of(base.exp().mul_(base.sub(tuned)));
}

}  // namespace

int64_t logit_rows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 1024);
}

EvalMetrics evaluate_loss(const Llama& model, const ModelBypass* bypass, const Dataset& dataset,
                          const MicroBatchLimits& limits) {
  const at::NoGradGuard no_grad;
  EvalMetrics metrics;
  double sum = 0;
  for_each_micro_batch(dataset, limits, model.device(), [&](const LabelledBatch& batch) {
    const at::Tensor hidden = model.hidden(batch.tokens, {.bypass = bypass, .rows = batch.rows});
    sum += cross_entropy(hidden, model.head(bypass), batch.targets,
                         {.chunk_rows = logit_rows(model.config().vocab_size)})
               .item<double>();
    metrics.label_tokens += batch.labels();
  });
  metrics.loss = sum / static_cast<double>(metrics.label_tokens);
  return metrics;
}

Comparison compare_with_base(const Llama& model, const ModelBypass& bypass, const Dataset& dataset,
                             const MicroBatchLimits& limits) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kTensorsAtOnce = 4;  // two logits, two of their functions
  const int64_t chunk = std::max<int64_t>(1, logit_rows(model.config().vocab_size) / kTensorsAtOnce);
  Comparison result;
  for_each_micro_batch(dataset, limits, model.device(), [&](const LabelledBatch& batch) {
    const at::Tensor base = model.hidden(batch.tokens, {.rows = batch.rows});                      // [R,D]
    const at::Tensor tuned = model.hidden(batch.tokens, {.bypass = &bypass, .rows = batch.rows});  // [R,D]
    for (int64_t begin = 0; begin < batch.labels(); begin += chunk) {
      const int64_t rows = std::min(chunk, batch.labels() - begin);
      add_rows(model, bypass, base.narrow(0, begin, rows), tuned.narrow(0, begin, rows),
               batch.targets.narrow(0, begin, rows), result);
    }
    result.label_tokens += batch.labels();
  });
  const auto labels = static_cast<double>(result.label_tokens);
  result.base_loss /= labels, result.tuned_loss /= labels, result.kl /= labels;
  return result;
}

}  // namespace excitor
