// Log-probabilities of chosen tokens.
#pragma once

#include <cstdint>
#include <vector>

#include <excitor/eval/scoring.h>

namespace excitor {

/// A token whose probability is asked for, after the token of a row of hidden states.
struct PredictedToken {
  int64_t row = 0;
  TokenId token = 0;
};

/// log P of each predicted token. hidden [R,D]; rows ascending, several may share one. Logits exist for some
/// rows at a time only, about 64 MiB. Throws CheckpointError when one is not finite.
std::vector<double> log_probabilities(const ScoredModel& scored, const at::Tensor& hidden,
                                      const std::vector<PredictedToken>& predicted);

/// ids as the model takes them: [T] int64 on its device.
at::Tensor token_tensor(const std::vector<int64_t>& ids, at::Device device);

/// Throws Interrupted when SIGINT or SIGTERM asked to stop, unless the model is scored whatever comes.
void stop_if_asked(const ScoredModel& scored);

}  // namespace excitor
