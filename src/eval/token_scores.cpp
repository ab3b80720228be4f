// R rows, r rows of a chunk, n predicted tokens of a chunk, V vocabulary.
#include "token_scores.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/logsumexp.h>

#include <excitor/tensor/device_copy.h>
#include <excitor/util/error.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

/// Rows of logits that exist at a time: about 64 MiB of fp32.
int64_t rows_at_once(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 1024);
}

/// Appends log P of predicted[begin, end), whose rows lie in the chunk that starts at `first_row`. logits
/// [r,V].
void add_chunk(const at::Tensor& logits, int64_t first_row, std::span<const PredictedToken> predicted,
               std::vector<double>& scores) {
  std::vector<int64_t> rows, places;
  for (const PredictedToken& p : predicted) {
    rows.push_back(p.row - first_row);
    places.push_back((p.row - first_row) * logits.size(1) + p.token);
  }
  const at::Tensor normaliser = logits.logsumexp({1});  // [r]
  const at::Tensor chosen =
      logits.reshape({-1}).index_select(0, token_tensor(places, logits.device()));  // [n]
  const at::Tensor result = chosen.sub(normaliser.index_select(0, token_tensor(rows, logits.device())))
                                .to(at::kCPU)
                                .to(at::kDouble);
  const double* values = result.const_data_ptr<double>();
  scores.insert(scores.end(), values, values + result.numel());
}

}  // namespace

at::Tensor token_tensor(const std::vector<int64_t>& ids, at::Device device) {
  const auto size = static_cast<int64_t>(ids.size());
  return copy_to_device(at::from_blob(const_cast<int64_t*>(ids.data()), {size}, at::kLong).clone(), device);
}

std::vector<double> log_probabilities(const ScoredModel& scored, const at::Tensor& hidden,
                                      const std::vector<PredictedToken>& predicted) {
  std::vector<double> scores;
  const int64_t chunk = rows_at_once(scored.model.config().vocab_size);
  auto begin = predicted.begin();
  for (int64_t row = 0; row < hidden.size(0); row += chunk) {
    const int64_t rows = std::min(chunk, hidden.size(0) - row);
    const auto end = std::find_if(begin, predicted.end(), [&](const auto& p) { return p.row >= row + rows; });
    if (begin != end)
      add_chunk(scored.model.logits(hidden.narrow(0, row, rows), scored.bypass), row, {begin, end}, scores);
    begin = end;
  }
  if (!std::ranges::all_of(scores, [](double score) { return std::isfinite(score); })) {
    throw CheckpointError(
        "the logits are not finite: the weights hold NaN or infinity, or the type is too small for them; try "
        "--dtype float32");
  }
  return scores;
}

void stop_if_asked(const ScoredModel& scored) {
  if (!scored.stops_on_signal) return;
  if (const int signal = StopSignals::requested()) throw Interrupted("stopped; nothing was written", signal);
}

}  // namespace excitor
