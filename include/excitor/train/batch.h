// Examples as the model takes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/model/llama.h>

namespace excitor {

/// One micro-batch, flat: the tokens, the rows whose next token is a label, and those labels.
struct LabelledBatch {
  TokenBatch tokens;        ///< the last token of an example predicts nothing and is left out
  at::Tensor rows;          // [R] int64, ascending
  at::Tensor targets;       // [R] int64
  int64_t real_tokens = 0;  ///< tokens of the examples, the last ones included
  int64_t labels() const { return targets.size(0); }
};

/// Lays examples one after the other.
LabelledBatch make_batch(std::span<const int64_t> indices, const Dataset& dataset, at::Device device);

}  // namespace excitor
