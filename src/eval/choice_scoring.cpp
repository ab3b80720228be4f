// A group of questions in three steps: the beginning that all share, the rest of each context, the choices.
#include <algorithm>
#include <map>

#include <ATen/core/grad_mode.h>

#include <excitor/eval/scoring.h>

#include "shared_prefix.h"
#include "token_scores.h"

namespace excitor {
namespace {

/// Several texts of one pass, flat.
struct FlatTokens {
  std::vector<int64_t> ids;
  std::vector<int64_t> lengths;

  void add(std::span<const TokenId> text) {
    ids.insert(ids.end(), text.begin(), text.end());
    lengths.push_back(static_cast<int64_t>(text.size()));
  }
  TokenBatch batch(at::Device device) const {
    return {.ids = token_tensor(ids, device), .segments = Segments(lengths)};
  }
};

/// Where the log-probability of a predicted token belongs.
struct Place {
  size_t question;
  size_t choice;
};

class ChoiceScorer {
 public:
  ChoiceScorer(const ScoredModel& scored, std::span<const ChoiceQuestion> questions,
               const ScoringLimits& limits)
      : scored_(scored), questions_(questions), limits_(limits) {
    for (const ChoiceQuestion& question : questions) scores_.emplace_back(question.choices.size(), 0.0);
  }

  std::vector<std::vector<double>> run() {
    std::map<int64_t, std::vector<size_t>> groups;
    for (size_t q = 0; q < questions_.size(); ++q) groups[questions_[q].group].push_back(q);
    for (const auto& [group, members] : groups) score_group(members);
    return std::move(scores_);
  }

 private:
  void score_group(const std::vector<size_t>& members) {
    SharedPrefix::Contexts contexts;
    for (const size_t q : members) contexts.emplace_back(questions_[q].context);
    const SharedPrefix prefix(scored_, contexts, limits_.reuse_prefixes);
    std::vector<int64_t> lengths;
    for (const size_t q : members) lengths.push_back(own_tokens(questions_[q], prefix));
    for (const auto& batch : batches_by_length(lengths, limits_.tokens_per_pass, limits_.tokens_per_pass)) {
      std::vector<size_t> chosen;
      for (const size_t i : batch) chosen.push_back(members[i]);
      stop_if_asked(scored_);
      score_batch(chosen, prefix);
    }
  }

  /// Tokens that are computed for one question beside the prefix.
  static int64_t own_tokens(const ChoiceQuestion& question, const SharedPrefix& prefix) {
    int64_t tokens = std::ssize(question.context) - prefix.tokens();
    for (const auto& choice : question.choices) tokens += std::ssize(choice) - 1;
    return tokens;
  }

  /// The contexts, whose last tokens predict the first token of each choice, then what is left of the
  /// choices.
  void score_batch(const std::vector<size_t>& batch, const SharedPrefix& prefix) {
    FlatTokens contexts;
    std::vector<int64_t> last;  // row of each context's last token
    std::vector<PredictedToken> predicted;
    std::vector<Place> places;
    for (size_t i = 0; i < batch.size(); ++i) {
      const ChoiceQuestion& question = questions_[batch[i]];
      contexts.add(std::span(question.context).subspan(static_cast<size_t>(prefix.tokens())));
      last.push_back(std::ssize(contexts.ids) - 1);
      for (size_t c = 0; c < question.choices.size(); ++c) {
        predicted.push_back({.row = static_cast<int64_t>(i), .token = question.choices[c].front()});
        places.push_back({batch[i], c});
      }
    }
    const bool ends_here = !has_longer_choice(batch);
    KvCache cache = prefix.branch(std::ssize(batch), ends_here);
    add_scores(contexts, &cache, last, predicted, places);
    if (!ends_here) score_rest(batch, cache);
  }

  bool has_longer_choice(const std::vector<size_t>& batch) const {
    return std::ranges::any_of(batch, [&](size_t q) {
      return std::ranges::any_of(questions_[q].choices, [](const auto& choice) { return choice.size() > 1; });
    });
  }

  /// All but the first token of the choices, each continuing its question's context.
  void score_rest(const std::vector<size_t>& batch, const KvCache& contexts) {
    FlatTokens rest;
    std::vector<int64_t> parents;
    std::vector<PredictedToken> predicted;
    std::vector<Place> places;
    for (size_t i = 0; i < batch.size(); ++i) {
      const auto& choices = questions_[batch[i]].choices;
      for (size_t c = 0; c < choices.size(); ++c) {
        if (choices[c].size() < 2) continue;
        for (size_t t = 1; t < choices[c].size(); ++t) {
          predicted.push_back(
              {.row = std::ssize(rest.ids) + static_cast<int64_t>(t) - 1, .token = choices[c][t]});
          places.push_back({batch[i], c});
        }
        rest.add(std::span(choices[c]).first(choices[c].size() - 1));
        parents.push_back(static_cast<int64_t>(i));
      }
    }
    KvCache cache = contexts.branch(parents, /*transient=*/true);
    add_scores(rest, &cache, {}, predicted, places);
  }

  /// One pass. `rows`: the tokens that predict, or empty: all.
  void add_scores(const FlatTokens& tokens, KvCache* cache, const std::vector<int64_t>& rows,
                  const std::vector<PredictedToken>& predicted, const std::vector<Place>& places) {
    const at::Device device = scored_.model.device();
    const at::Tensor wanted = rows.empty() ? at::Tensor() : token_tensor(rows, device);
    const at::Tensor hidden = scored_.model.hidden(
        tokens.batch(device), {.bypass = scored_.bypass, .cache = cache, .rows = wanted});  // [R,D]
    const std::vector<double> logs = log_probabilities(scored_, hidden, predicted);
    for (size_t i = 0; i < places.size(); ++i) scores_[places[i].question][places[i].choice] += logs[i];
  }

  const ScoredModel& scored_;
  std::span<const ChoiceQuestion> questions_;
  ScoringLimits limits_;
  std::vector<std::vector<double>> scores_;  // [question][choice]
};

}  // namespace

std::vector<std::vector<double>> score_choices(const ScoredModel& scored,
                                               std::span<const ChoiceQuestion> questions,
                                               const ScoringLimits& limits) {
  const at::NoGradGuard no_grad;
  return ChoiceScorer(scored, questions, limits).run();
}

}  // namespace excitor
