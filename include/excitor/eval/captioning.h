// Writing captions of images.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <excitor/eval/scoring.h>
#include <excitor/tokenizer/prompt_template.h>

namespace excitor {

/// Prompts that are alike but for their images and contexts.
struct CaptionPrompt {
  PromptTemplate prompt_template;
  std::string instruction;

  /// BOS and the prompt's tokens; `context` stands as its input (with_context). Throws ConfigError unless it
  /// leaves room in a context of `context_length` tokens.
  std::vector<TokenId> ids(const Tokenizer& tokenizer, const std::string& context,
                           int64_t context_length) const;
};

/// A caption for each image: the most probable tokens up to a line end or what ends an answer of the
/// template, without blanks around it. `prompts` and `files` are parallel. Throws as continue_lines().
std::vector<std::string> write_captions(const ScoredModel& scored, const PromptTemplate& prompt_template,
                                        std::span<const std::vector<TokenId>> prompts,
                                        std::span<const std::filesystem::path> files,
                                        const GreedyLimits& limits);

}  // namespace excitor
