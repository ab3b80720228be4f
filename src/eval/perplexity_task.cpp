#include "perplexity_task.h"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <excitor/data/question_rows.h>
#include <excitor/util/error.h>

#include "shared_prefix.h"
#include "token_scores.h"

namespace excitor {
namespace {

/// Σ −log P over each window of a batch, in one pass.
std::vector<double> window_losses(
    const ScoredModel& scored, const std::vector<std::reference_wrapper<const std::vector<TokenId>>>& batch) {
  std::vector<int64_t> ids, lengths;
  std::vector<PredictedToken> predicted;
  for (const std::vector<TokenId>& window : batch) {
    for (size_t t = 0; t + 1 < window.size(); ++t) {
      predicted.push_back({.row = std::ssize(ids), .token = window[t + 1]});
      ids.push_back(window[t]);
    }
    lengths.push_back(std::ssize(window) - 1);
  }
  const TokenBatch tokens{.ids = token_tensor(ids, scored.model.device()), .segments = Segments(lengths)};
  const at::Tensor hidden = scored.model.hidden(tokens, {.bypass = scored.bypass});  // [T,D]
  const std::vector<double> logs = log_probabilities(scored, hidden, predicted);
  std::vector<double> losses(batch.size(), 0.0);
  for (size_t i = 0; i < batch.size(); ++i) {
    for (int64_t t = 0; t < lengths[i]; ++t)
      losses[i] -= logs[static_cast<size_t>(tokens.segments.begin(static_cast<int64_t>(i)) + t)];
  }
  return losses;
}

}  // namespace

PerplexityTask::PerplexityTask(std::string name, std::string path, const TaskOptions& options)
    : ScoredTask(std::move(name), "perplexity"),
      path_(std::move(path)),
      limit_(options.limit),
      tokens_per_pass_(options.scoring.tokens_per_pass) {
  require_file(path_, "a text file, or JSONL with \"text\"");
}

void PerplexityTask::prepare(const Tokenizer& tokenizer, int64_t context_length) {
  const DataSettings settings{.max_seq_length = std::max<int64_t>(context_length, 2)};
  const LoadedDataset loaded = load_dataset({{.path = path_, .format = "text"}}, settings, tokenizer);
  for (int64_t i = 0; i < loaded.dataset->size(); ++i) {
    Example example = loaded.dataset->example(i);
    if (documents_.empty() || documents_.back() != example.origin) {
      if (limit_ && std::ssize(documents_) == *limit_) break;
      documents_.push_back(example.origin);
    }
    if (example.last_label_is(tokenizer.eos())) example.ids.pop_back();
    if (example.ids.size() < 2) continue;  // EOS alone was left for the last window
    windows_.push_back(std::move(example.ids));
    document_of_.push_back(documents_.size() - 1);
  }
  if (windows_.empty()) throw DataError(path_ + ": holds no token to score");
}

Json PerplexityTask::layout() const {
  return {{"windows", windows_.size()}};
}

TaskScores PerplexityTask::score(const ScoredModel& scored) const {
  const at::NoGradGuard no_grad;
  std::vector<double> losses(documents_.size(), 0.0);
  std::vector<int64_t> tokens(documents_.size(), 0), lengths;
  for (const auto& window : windows_) lengths.push_back(std::ssize(window) - 1);
  for (const auto& batch : batches_by_length(lengths, tokens_per_pass_, tokens_per_pass_)) {
    stop_if_asked(scored);
    std::vector<std::reference_wrapper<const std::vector<TokenId>>> chosen;
    for (const size_t w : batch) chosen.emplace_back(windows_[w]);
    const std::vector<double> sums = window_losses(scored, chosen);
    for (size_t i = 0; i < batch.size(); ++i) {
      losses[document_of_[batch[i]]] += sums[i];
      tokens[document_of_[batch[i]]] += lengths[batch[i]];
    }
  }
  TaskScores scores;
  double sum = 0;
  int64_t count = 0;
  for (size_t d = 0; d < documents_.size(); ++d) {
    scores.samples.push_back({{"sample", documents_[d]},
                              {"tokens", tokens[d]},
                              {"loss", losses[d] / static_cast<double>(tokens[d])}});
    sum += losses[d], count += tokens[d];
  }
  const double loss = sum / static_cast<double>(count);
  scores.metrics = {{"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", count}};
  return scores;
}

}  // namespace excitor
