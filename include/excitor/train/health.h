// What a bypass does inside the model, measured from outside through its own hooks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <excitor/model/llama.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// The effect of a bypass on one layer's attention, as means over the tokens of a batch.
struct AttentionHealth {
  /// Share of a query head's attention that goes to other tokens than with the frozen keys: ½ Σ |p' − p|.
  /// What the Excitor moves; zeros where a bypass leaves the keys alone. [H]
  std::vector<double> moved;
  /// ‖out' − out‖ / ‖out‖ of what is added to the attention's output: what an Adapter's prompts contribute.
  double added = 0;
};

/// One pass with the bypass over `batch`; layer -> what it does there. Scores are computed whole, [H,T,T] a
/// sequence: give a few sequences. `images`: as ForwardOptions takes them.
std::map<int64_t, AttentionHealth> measure_attention(const Llama& model, const ModelBypass& bypass,
                                                     const TokenBatch& batch,
                                                     const SequenceImages& images = {});

/// The values of all gates by layer: parameters whose name ends with "gate", as they are stored (before
/// tanh).
std::map<int64_t, std::vector<double>> gate_values(const ParameterSet& parameters);

}  // namespace excitor
