#include <excitor/generate/generate.h>

#include <algorithm>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/random.h>
#include <excitor/util/signals.h>

#include "answer_stream.h"

namespace excitor {
namespace {

/// Logits [V] after the last of `ids`, which continue the cache's only sequence. Its image counts in the
/// first pass; the cache keeps what the bypass made of it.
at::Tensor next_logits(const Generator& generator, const std::vector<TokenId>& ids,
                       const SequenceImages& images, KvCache& cache) {
  const Llama& model = generator.model;
  const auto count = static_cast<int64_t>(ids.size());
  const at::Tensor tokens = at::tensor(at::ArrayRef<TokenId>(ids)).to(at::kLong).to(model.device());
  const at::Tensor last = at::tensor(at::ArrayRef<int64_t>({count - 1})).to(model.device());
  const TokenBatch batch{.ids = tokens, .segments = Segments({count})};
  const at::Tensor hidden =
      model.hidden(batch, {.bypass = generator.bypass, .cache = &cache, .rows = last, .images = images});
  const at::Tensor logits = model.logits(hidden, generator.bypass).to(at::kCPU).squeeze(0);
  if (!logits.isfinite().all().item<bool>()) {
    throw CheckpointError(
        "the logits are not finite: the weights hold NaN or infinity, or the type is too small for them; try "
        "--dtype float32");
  }
  return logits;
}

}  // namespace

Generation Generator::generate(const std::vector<TokenId>& prompt, const SamplingSettings& settings,
                               const TextSink& sink, const at::Tensor& image) const {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> ends = end_ids;
  ends.push_back(tokenizer.eos());

  const SequenceImages images = image.defined() ? SequenceImages{image.to(model.device())} : SequenceImages{};
  KvCache cache(model.config().num_hidden_layers, 1);
  Random random(settings.seed, stream_of("generate") + settings.prompt_index);
  AnswerStream stream(settings.stop, sink);
  Generation generation;
  std::vector<TokenId> context = prompt, fresh = prompt;
  const auto is_stopped = [&] { return stops_on_signal && StopSignals::requested() != 0; };
  for (int64_t n = 0; n < settings.max_new_tokens && !is_stopped(); ++n) {
    const TokenId id =
        sample_token(next_logits(*this, fresh, images, cache), context, settings, random.uniform());
    generation.token_ids.push_back(id);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
    context.push_back(id);
    fresh = {id};
    if (stream.update(tokenizer.decode(generation.token_ids))) break;
  }
  stream.finish();
  generation.text = stream.text();
  return generation;
}

}  // namespace excitor
