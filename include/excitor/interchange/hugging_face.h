// A merged model: the base's weights with an adapter's change folded into them, as a Hugging Face folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include <excitor/methods/adapter_files.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/weights.h>

namespace excitor {

/// What is merged.
struct MergeJob {
  std::filesystem::path
      base_folder;  ///< whose config.json, generation_config.json and tokenizer are taken over
  const LlamaConfig& base_config;
  Weights base_weights;  ///< as the base's files store them
  const LoadedAdapter& adapter;
  uint64_t max_shard_bytes = 5'000'000'000;
};

/// Writes the folder, which appears complete or not at all. Each tensor is merged in fp32 and cast to its
/// stored type when its turn to be written comes, so only one is in memory. Biases of an adapter set
/// attention_bias or mlp_bias in config.json, which promise biases on all linears of a block: the others are
/// zero. Throws UsageError for an adapter that changes attention (prompts, Excitor), before anything is
/// written.
void export_hugging_face(const std::filesystem::path& folder, const MergeJob& job);

/// Logits [T,V] of a short fixed prompt, computed in fp32: what a merged model is compared with its origin
/// by.
at::Tensor probe_logits(Llama& model, const ModelBypass* bypass);

/// Copies what a tokenizer consists of (tokenizer.model, tokenizer.json, their configurations, the chat
/// template) from a model folder, or from a tokenizer file. Of a Meta folder the tokenizer.model beside it.
/// A SentencePiece model that comes alone, made like LLaMA's, gets a tokenizer.json and a
/// tokenizer_config.json, with which transformers gives the ids that the program uses.
void copy_tokenizer(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace excitor
