// Examples as the model takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/model/llama.h>
#include <excitor/vision/image_features.h>

namespace excitor {

/// One micro-batch, flat: the tokens, the rows whose next token is a label, and those labels.
struct LabelledBatch {
  TokenBatch tokens;        ///< the last token of an example predicts nothing and is left out
  at::Tensor rows;          // [R] int64, ascending
  at::Tensor targets;       // [R] int64
  SequenceImages images;    ///< features of the examples' images; empty where none has one
  int64_t real_tokens = 0;  ///< tokens of the examples, the last ones included
  int64_t labels() const { return targets.size(0); }
};

/// How a model is shown the images of a batch.
struct ImageInput {
  const ImageFeatures* features = nullptr;  ///< null: it is shown none
  at::ScalarType type = at::kFloat;         ///< of the model's activations
  /// In training: what random crops depend on beside the example.
  std::optional<uint64_t> draw = {};
};

/// Lays examples one after the other. Throws what ImageFeatures::of() throws.
LabelledBatch make_batch(std::span<const int64_t> indices, const Dataset& dataset, at::Device device,
                         const ImageInput& images = {});

}  // namespace excitor
