// Greedy answers of one line, many prompts at a time.
#include <algorithm>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/isfinite.h>

#include <excitor/eval/scoring.h>
#include <excitor/util/error.h>

#include "shared_prefix.h"
#include "token_scores.h"

namespace excitor {
namespace {

/// The answers of some prompts. Sequences that have ended are dropped once they are half of all.
class LineDecoder {
 public:
  LineDecoder(const ScoredModel& scored, const GreedyLimits& limits, const SharedPrefix& prefix,
              const SharedPrefix::Contexts& prompts, SequenceImages images)
      : scored_(scored),
        limits_(limits),
        cache_(prefix.branch(std::ssize(prompts), false)),
        images_(std::move(images)) {
    std::vector<int64_t> ids, lengths;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const std::vector<TokenId>& prompt = prompts[i];
      answers_.push_back({.room = scored.model.config().max_position_embeddings - std::ssize(prompt)});
      running_.push_back(i);
      ids.insert(ids.end(), prompt.begin() + prefix.tokens(), prompt.end());
      lengths.push_back(std::ssize(prompt) - prefix.tokens());
    }
    step(ids, lengths);
  }

  /// The texts in the order of the prompts.
  std::vector<std::string> run() {
    while (drop_finished()) {
      stop_if_asked(scored_);
      std::vector<int64_t> ids;
      for (const size_t i : running_) ids.push_back(answers_[i].ids.back());
      step(ids, std::vector<int64_t>(ids.size(), 1));
    }
    std::vector<std::string> texts;
    for (Answer& answer : answers_) texts.push_back(std::move(answer.text));
    return texts;
  }

 private:
  struct Answer {
    int64_t room = 0;  ///< positions that the model has left after the prompt
    std::vector<TokenId> ids = {};
    std::string text = {};
    bool finished = false;
  };

  /// Computes new tokens of the running sequences and appends the best next token to each.
  void step(const std::vector<int64_t>& ids, const std::vector<int64_t>& lengths) {
    const at::Device device = scored_.model.device();
    const TokenBatch batch{.ids = token_tensor(ids, device), .segments = Segments(lengths)};
    std::vector<int64_t> last;
    for (int64_t i = 0; i < batch.segments.count(); ++i)
      last.push_back(batch.segments.begin(i) + batch.segments.length(i) - 1);
    SequenceImages shown;
    for (const size_t i : running_) {
      if (!images_.empty()) shown.push_back(images_[i]);
    }
    const at::Tensor hidden = scored_.model.hidden(batch, {.bypass = scored_.bypass,
                                                           .cache = &cache_,
                                                           .rows = token_tensor(last, device),
                                                           .images = std::move(shown)});
    const at::Tensor logits = scored_.model.logits(hidden, scored_.bypass);  // [B,V]
    if (!logits.isfinite().all().item<bool>())
      throw CheckpointError(
          "the logits are not finite: the weights hold NaN or infinity; try --dtype float32");
    const at::Tensor best = logits.argmax(1).to(at::kCPU);  // [B]
    for (size_t i = 0; i < running_.size(); ++i)
      append(answers_[running_[i]], static_cast<TokenId>(best.const_data_ptr<int64_t>()[i]));
  }

  void append(Answer& answer, TokenId id) const {
    if (answer.finished) {  // its sequence goes on until it is dropped, and nobody listens
      answer.ids.push_back(id);
      return;
    }
    const bool is_end =
        id == scored_.tokenizer.eos() || std::ranges::find(scored_.end_ids, id) != scored_.end_ids.end();
    answer.ids.push_back(id);
    if (!is_end) answer.text = scored_.tokenizer.decode(answer.ids);
    const size_t line_end = answer.text.find('\n');
    if (line_end != std::string::npos) answer.text.resize(line_end);
    const auto tokens = std::ssize(answer.ids);
    answer.finished =
        is_end || line_end != std::string::npos || tokens >= limits_.max_new_tokens || tokens >= answer.room;
  }

  /// False when no sequence is left.
  bool drop_finished() {
    std::vector<size_t> left;
    std::vector<int64_t> parents;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (answers_[running_[i]].finished) continue;
      left.push_back(running_[i]);
      parents.push_back(static_cast<int64_t>(i));
    }
    if (left.size() * 2 <= running_.size() && !left.empty()) {
      cache_ = cache_.branch(parents, false);
      running_ = left;
    }
    return !left.empty();
  }

  const ScoredModel& scored_;
  GreedyLimits limits_;
  KvCache cache_;
  SequenceImages images_;  // of every answer, or empty
  std::vector<Answer> answers_;
  std::vector<size_t> running_;  // the answer of each sequence of the cache
};

/// What the bypass sees of the images of some prompts; undefined for an empty path.
SequenceImages look_at(const ScoredModel& scored, std::span<const std::filesystem::path> images,
                       const std::vector<size_t>& batch) {
  if (images.empty()) return {};
  std::vector<std::filesystem::path> files;
  std::vector<size_t> places;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (images[batch[i]].empty()) continue;
    files.push_back(images[batch[i]]);
    places.push_back(i);
  }
  const std::vector<at::Tensor> features = scored.see(files);
  SequenceImages seen(batch.size());
  for (size_t i = 0; i < places.size(); ++i) seen[places[i]] = features[i].to(scored.model.device());
  return seen;
}

}  // namespace

std::vector<std::string> continue_lines(const ScoredModel& scored,
                                        std::span<const std::vector<TokenId>> prompts,
                                        const GreedyLimits& limits,
                                        std::span<const std::filesystem::path> images) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> texts(prompts.size());
  if (prompts.empty()) return texts;
  const bool sees = scored.bypass && scored.see && !images.empty();
  // What a bypass makes of the first token already depends on the image.
  const SharedPrefix prefix(scored, {prompts.begin(), prompts.end()}, /*reuse=*/!sees);
  std::vector<int64_t> lengths;
  for (const auto& prompt : prompts) lengths.push_back(std::ssize(prompt) - prefix.tokens());
  for (const auto& batch : batches_by_length(lengths, limits.tokens_per_pass, limits.sequences)) {
    stop_if_asked(scored);
    SharedPrefix::Contexts chosen;
    for (const size_t i : batch) chosen.emplace_back(prompts[i]);
    SequenceImages seen = sees ? look_at(scored, images, batch) : SequenceImages{};
    std::vector<std::string> answers = LineDecoder(scored, limits, prefix, chosen, std::move(seen)).run();
    for (size_t i = 0; i < batch.size(); ++i) texts[batch[i]] = std::move(answers[i]);
  }
  return texts;
}

}  // namespace excitor
