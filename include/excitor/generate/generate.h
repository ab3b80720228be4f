// Decoding with the KV cache.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/model/llama.h>
#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Defaults decode greedily.
struct SamplingSettings {
  int64_t max_new_tokens = 256;
  double temperature = 0;         ///< 0: greedy
  double top_p = 1.0;             ///< smallest set of tokens whose probabilities reach it (arXiv 1904.09751)
  int64_t top_k = 0;              ///< 0: all
  double repetition_penalty = 1;  ///< on tokens of prompt and answer (arXiv 1909.05858)
  uint64_t seed = 0;
  uint64_t prompt_index = 0;  ///< of several prompts: each draws its own random numbers, from (seed, index)
  std::vector<std::string> stop;  ///< the answer ends before the first of them
};

struct Generation {
  std::vector<TokenId> token_ids;  ///< new tokens, EOS included when it came
  std::string text;                ///< of them, cut at a stop string
};

/// Called with each piece of text that is final (complete characters, not the start of a stop string).
using TextSink = std::function<void(std::string_view)>;

struct Generator {
  const Llama& model;
  const ModelBypass* bypass;  ///< null: the base
  const Tokenizer& tokenizer;
  std::vector<int64_t> end_ids = {};  ///< further ids that end an answer, beside the tokenizer's EOS
  bool stops_on_signal = true;        ///< false: for processes that have to go on together

  /// Continues `prompt` (BOS included) until EOS (or one of end_ids), a stop string, max_new_tokens, or a
  /// signal (see stops_on_signal). `image`: the features [rows,width] that the bypass sees, or undefined; the
  /// base sees none.
  Generation generate(const std::vector<TokenId>& prompt, const SamplingSettings& settings,
                      const TextSink& sink = {}, const at::Tensor& image = {}) const;
};

/// Chooses the next token from logits [V] fp32 on the CPU; `uniform` is in [0,1).
TokenId sample_token(const at::Tensor& logits, const std::vector<TokenId>& context,
                     const SamplingSettings& settings, double uniform);

}  // namespace excitor
