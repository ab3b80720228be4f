// D hidden width, F feed-forward width.
#include <excitor/train/memory_plan.h>

#include <algorithm>
#include <charconv>

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <excitor/model/llama.h>
#include <excitor/model/sharded_base.h>
#include <excitor/train/evaluation.h>

namespace excitor {
namespace {

/// The lowest layer with a trainable tensor; 0 when one belongs to no layer (the embedding).
int64_t lowest_adapted_layer(const std::vector<ParameterSpec>& trainables, int64_t layers) {
  constexpr std::string_view kLayers = "model.layers.";
  int64_t lowest = layers;
  for (const ParameterSpec& spec : trainables) {
    const size_t at = spec.name.find(kLayers);
    int64_t layer = spec.name.find("embed_tokens") != std::string::npos ? 0 : layers;
    if (at != std::string::npos)
      std::from_chars(spec.name.data() + at + kLayers.size(), spec.name.data() + spec.name.size(), layer);
    lowest = std::min(lowest, layer);
  }
  return lowest;
}

/// Values that a decoder layer keeps for a token: inputs and outputs of both norms, q, k, v, the attention's
/// output, gate, up, and their product; the keys once more (rotation, Excitor).
int64_t values_kept_per_token(const LlamaConfig& model) {
  const int64_t attention = 2 * model.query_width() + 3 * model.key_width();
  return 4 * model.hidden_size + attention + 3 * model.intermediate_size;
}

int64_t frozen_elements(const LlamaConfig& model, int64_t parts) {
  if (parts > 1) return most_sharded_elements(model, parts);
  int64_t elements = 0;
  for (const auto& weight : weight_shapes(model))
    elements += ParameterSpec{weight.name, weight.shape, {}}.numel();
  return elements;
}

double gib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

}  // namespace

std::string MemoryPlan::text() const {
  return fmt::format("weights {:.2f} GiB, trainables {:.2f}, activations {:.2f}, logits {:.2f}: {:.2f} GiB",
                     gib(weights), gib(trainables), gib(activations), gib(logits), gib(total()));
}

MemoryPlan plan_memory(const MemoryNeeds& needs) {
  const LlamaConfig& model = needs.model;
  const auto activation_bytes = static_cast<int64_t>(c10::elementSize(needs.activation_type));
  constexpr int64_t kFloat = 4;
  const int64_t copies = needs.processes > 1 ? 5 : 4;  // value, gradient, two moments; what is reduced
  MemoryPlan plan;
  if (!needs.base_trains)
    plan.weights =
        frozen_elements(model, needs.base_parts) * static_cast<int64_t>(c10::elementSize(needs.base_type));
  const int64_t parameters = count_parameters(needs.trainables);
  plan.trainables = copies * kFloat * parameters;
  // A whole model is kept in the activations' type as well, for the backward pass.
  if (needs.base_trains && needs.activation_type != at::kFloat)
    plan.trainables += activation_bytes * parameters;
  const int64_t layers =
      model.num_hidden_layers - lowest_adapted_layer(needs.trainables, model.num_hidden_layers);
  const int64_t a_layer = needs.micro_batch_tokens * activation_bytes * values_kept_per_token(model);
  const int64_t inputs = needs.micro_batch_tokens * activation_bytes * model.hidden_size;
  plan.activations = needs.recompute_layers ? layers * inputs + 2 * a_layer : layers * a_layer;
  // An image's features, and rows of its own among the prompts of each layer.
  const int64_t of_image = needs.visual_rows * (needs.visual_width + layers * model.hidden_size);
  plan.activations += needs.images * activation_bytes * of_image;
  constexpr int64_t kLogitTensors = 3;  // logits, probabilities, their gradient
  plan.logits = kLogitTensors * kFloat * model.vocab_size *
                std::min(logit_rows(model.vocab_size, needs.device), needs.micro_batch_tokens);
  return plan;
}

}  // namespace excitor
