// R rows with a label, V vocabulary.
#include <excitor/train/evaluation.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include <excitor/train/batch.h>

namespace excitor {
namespace {

/// Whether a micro-batch counts, or is computed only to find out what other processes gather for theirs.
enum class Counts { yes, no };

/// Calls `visit` for each micro-batch of this process's share of the dataset. With a sharded base it then
/// takes part in the passes of processes that have more of them.
void for_each_micro_batch(const SharedDataset& data, const Llama& model,
                          const std::function<void(const LabelledBatch&, Counts)>& visit) {
  const int64_t processes = data.communicator.size();
  std::vector<int64_t> all(data.dataset.size());
  std::iota(all.begin(), all.end(), 0);
  const auto share = share_of_rank(all, data.communicator.rank(), processes, data.dataset, data.limits);
  const auto micro_batches = lay_into_micro_batches(share, data.dataset, data.limits);
  const ImageInput images{.features = data.images, .type = model.activation_type()};
  JoinedPasses passes(model.weights().gathers);
  for (const auto& indices : micro_batches)
    passes.compute([&] { visit(make_batch(indices, data.dataset, model.device(), images), Counts::yes); });
  if (!model.weights().sharded()) return;
  const int64_t most = most_micro_batches(all, processes, data.dataset, data.limits);
  for (auto pass = static_cast<int64_t>(micro_batches.size()); pass < most; ++pass)
    passes.join([&] {
      visit(make_batch({all.data(), 1}, data.dataset, model.device(), images), Counts::no);
    });
}

/// Replaces each value by its sum over all processes.
void add_up(const std::vector<double*>& values, const SharedDataset& data, at::Device device) {
  if (data.communicator.size() == 1) return;
  at::Tensor sums = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  auto sum = sums.accessor<double, 1>();
  for (size_t i = 0; i < values.size(); ++i) sum[static_cast<int64_t>(i)] = *values[i];
  at::Tensor shared = sums.to(device);
  data.communicator.all_reduce_sum(shared);
  sums.copy_(shared);
  for (size_t i = 0; i < values.size(); ++i) *values[i] = sum[static_cast<int64_t>(i)];
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

int64_t logit_rows(int64_t vocab_size, at::Device device) {
  if (!device.is_cpu()) return std::clamp<int64_t>((int64_t{256} << 20) / vocab_size, 16, 8192);
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 1024);
}

EvalMetrics evaluate_loss(const Llama& model, const ModelBypass* bypass, const SharedDataset& data) {
  const at::NoGradGuard no_grad;
  double sum = 0, labels = 0;
  for_each_micro_batch(data, model, [&](const LabelledBatch& batch, Counts counts) {
    const at::Tensor hidden =
        model.hidden(batch.tokens, {.bypass = bypass, .rows = batch.rows, .images = batch.images});
    const at::Tensor loss =
        cross_entropy(hidden, model.head(bypass), batch.targets,
                      {.chunk_rows = logit_rows(model.config().vocab_size, model.device())});
    if (counts == Counts::no) return;
    sum += loss.item<double>();
    labels += static_cast<double>(batch.labels());
  });
  add_up({&sum, &labels}, data, model.device());
  return {.loss = sum / labels, .label_tokens = static_cast<int64_t>(labels)};
}

Comparison compare_with_base(const Llama& model, const ModelBypass& bypass, const SharedDataset& data) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kTensorsAtOnce = 4;  // two logits, two of their functions
  const int64_t chunk =
      std::max<int64_t>(1, logit_rows(model.config().vocab_size, model.device()) / kTensorsAtOnce);
  Comparison result, ignored;
  double labels = 0;
  for_each_micro_batch(data, model, [&](const LabelledBatch& batch, Counts counts) {
    const at::Tensor base = model.hidden(batch.tokens, {.rows = batch.rows});  // [R,D]
    const at::Tensor tuned =
        model.hidden(batch.tokens, {.bypass = &bypass, .rows = batch.rows, .images = batch.images});  // [R,D]
    for (int64_t begin = 0; begin < batch.labels(); begin += chunk) {
      const int64_t rows = std::min(chunk, batch.labels() - begin);
      add_rows(model, bypass, base.narrow(0, begin, rows), tuned.narrow(0, begin, rows),
               batch.targets.narrow(0, begin, rows), counts == Counts::yes ? result : ignored);
    }
    if (counts == Counts::yes) labels += static_cast<double>(batch.labels());
  });
  add_up({&result.base_loss, &result.tuned_loss, &result.kl, &labels}, data, model.device());
  result.label_tokens = static_cast<int64_t>(labels);
  result.base_loss /= labels, result.tuned_loss /= labels, result.kl /= labels;
  return result;
}

}  // namespace excitor
