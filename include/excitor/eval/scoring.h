// Probabilities of texts under a frozen model and its bypass, with what texts have in common computed once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <excitor/model/llama.h>
#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Image files -> what a bypass sees of each: features [rows,width], on any device. Throws as read_image().
using SeeImages = std::function<std::vector<at::Tensor>(const std::vector<std::filesystem::path>& files)>;

/// A model as tasks score it.
struct ScoredModel {
  const Llama& model;
  const ModelBypass* bypass;  ///< null: the base
  const Tokenizer& tokenizer;
  std::vector<int64_t> end_ids = {};  ///< ids that end an answer, beside the tokenizer's EOS
  SeeImages see = {};                 ///< empty: the bypass sees texts alone
  bool stops_on_signal = true;        ///< false: for processes that have to go on together
};

/// A context and the continuations that are compared. Context and the longest continuation fit the model's
/// positions.
struct ChoiceQuestion {
  std::vector<TokenId> context;               ///< BOS first
  std::vector<std::vector<TokenId>> choices;  ///< each at least one token
  int64_t group = 0;                          ///< questions of one group begin alike (the same shots)
};

struct ScoringLimits {
  int64_t tokens_per_pass = 1024;  ///< of several texts together; a longer one stands alone
  bool reuse_prefixes = true;      ///< false: only to measure what it saves
};

/// log P(choice | context), summed over the choice's tokens: [question][choice]. The beginning that the
/// contexts of a group share is computed once, a question's context once for all its choices; texts of
/// similar length are computed together, and logits exist where a choice's token is predicted only. Throws
/// CheckpointError when they are not finite, Interrupted after a signal.
std::vector<std::vector<double>> score_choices(const ScoredModel& scored,
                                               std::span<const ChoiceQuestion> questions,
                                               const ScoringLimits& limits = {});

struct GreedyLimits {
  int64_t max_new_tokens = 64;
  int64_t sequences = 32;          ///< decoded together
  int64_t tokens_per_pass = 1024;  ///< of prompts together
};

/// The text that follows each prompt (BOS first) by the most probable tokens, up to a line end (without it),
/// EOS, max_new_tokens, or the end of the model's positions; in the order of `prompts`. A beginning that all
/// prompts share is computed once. `images`: the file that each prompt is about (an empty path: none), or no
/// elements at all; a batch's are looked at when its turn comes, by a bypass that sees. Throws as
/// score_choices.
std::vector<std::string> continue_lines(const ScoredModel& scored,
                                        std::span<const std::vector<TokenId>> prompts,
                                        const GreedyLimits& limits = {},
                                        std::span<const std::filesystem::path> images = {});

}  // namespace excitor
