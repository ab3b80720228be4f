// Measuring a bypass without training it: loss on held-back examples, and what the base forgets.
#pragma once

#include <cstdint>

#include <excitor/data/dataset.h>
#include <excitor/data/sampler.h>
#include <excitor/dist/communicator.h>
#include <excitor/model/llama.h>
#include <excitor/vision/image_features.h>

namespace excitor {

/// A dataset that the processes of a run go through together, each a share of it. All call the same
/// functions; the results are those of the whole dataset.
struct SharedDataset {
  const Dataset& dataset;
  MicroBatchLimits limits;
  Communicator& communicator;
  const ImageFeatures* images = nullptr;  ///< of the examples' images; null: they are not shown
};

/// Mean loss over a dataset.
struct EvalMetrics {
  double loss = 0;
  int64_t label_tokens = 0;
};

/// Loss of `bypass` (null: the base) over a whole dataset, without gradients, streaming sums only.
EvalMetrics evaluate_loss(const Llama& model, const ModelBypass* bypass, const SharedDataset& data);

/// Base and tuned model beside each other, as means over the labels of a dataset.
struct Comparison {
  double base_loss = 0;
  double tuned_loss = 0;
  double kl = 0;  ///< KL(base ‖ tuned) of the predicted distributions, in nats
  int64_t label_tokens = 0;
};

/// Both losses and their divergence with the same weights: one pass with the bypass and one without. Logits
/// exist for some rows at a time only.
Comparison compare_with_base(const Llama& model, const ModelBypass& bypass, const SharedDataset& data);

/// Rows of logits that exist at a time: about 64 MiB of fp32, on a GPU 1 GiB, as each product reads all of
/// the head.
int64_t logit_rows(int64_t vocab_size, at::Device device = at::kCPU);

}  // namespace excitor
