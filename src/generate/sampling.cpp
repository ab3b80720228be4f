// From logits to the next token.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include <excitor/generate/generate.h>

namespace excitor {
namespace {

struct Candidate {
  double score;  ///< logit, later probability
  TokenId id;
};

/// Divides positive and multiplies negative logits of tokens that were there already (arXiv 1909.05858).
void penalise(std::vector<double>& logits, const std::vector<TokenId>& context, double penalty) {
  if (penalty == 1) return;
  for (const TokenId id : std::set<TokenId>(context.begin(), context.end())) {
    logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  }
}

/// All tokens, or the top_k best, best first; equal scores in the order of their ids.
std::vector<Candidate> best_first(const std::vector<double>& logits, int64_t top_k) {
  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates[i] = {logits[i], static_cast<TokenId>(i)};
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
  };
  const size_t kept = top_k > 0 ? std::min<size_t>(top_k, candidates.size()) : candidates.size();
  std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end(), better);
  candidates.resize(kept);
  return candidates;
}

/// Logits to probabilities that sum to one.
void softmax(std::vector<Candidate>& candidates, double temperature) {
  const double highest = candidates.front().score;
  double sum = 0;
  for (auto& c : candidates) sum += c.score = std::exp((c.score - highest) / temperature);
  for (auto& c : candidates) c.score /= sum;
}

/// Keeps the smallest head of the list whose probabilities reach top_p, at least one token (arXiv
/// 1904.09751).
void keep_nucleus(std::vector<Candidate>& candidates, double top_p) {
  if (top_p >= 1) return;
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && sum < top_p) sum += candidates[kept++].score;
  candidates.resize(std::max<size_t>(1, kept));
}

}  // namespace

TokenId sample_token(const at::Tensor& logits, const std::vector<TokenId>& context,
                     const SamplingSettings& settings, double uniform) {
  const float* data = logits.const_data_ptr<float>();
  std::vector<double> scores(data, data + logits.numel());
  penalise(scores, context, settings.repetition_penalty);
  if (settings.temperature == 0) {
    return static_cast<TokenId>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  std::vector<Candidate> candidates = best_first(scores, settings.top_k);
  softmax(candidates, settings.temperature);
  keep_nucleus(candidates, settings.top_p);
  const double total = std::accumulate(candidates.begin(), candidates.end(), 0.0,
                                       [](double sum, const Candidate& c) { return sum + c.score; });
  double rest = uniform * total;
  for (const Candidate& candidate : candidates) {
    rest -= candidate.score;
    if (rest < 0) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace excitor
