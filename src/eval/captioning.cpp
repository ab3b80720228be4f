#include <excitor/eval/captioning.h>

#include <algorithm>

#include <fmt/format.h>

#include <excitor/generate/experts.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::vector<TokenId> CaptionPrompt::ids(const Tokenizer& tokenizer, const std::string& context,
                                        int64_t context_length) const {
  const Instruction asked = with_context({.instruction = instruction, .input = ""}, context);
  auto prompt = tokenizer.encode_pieces(prompt_template.prompt(asked)).ids;
  if (std::ssize(prompt) >= context_length) {
    throw ConfigError(fmt::format(
        "the prompt has {} tokens, and the model's context {}: nothing is left for a caption; ask shorter",
        prompt.size(), context_length));
  }
  return prompt;
}

std::vector<std::string> write_captions(const ScoredModel& scored, const PromptTemplate& prompt_template,
                                        std::span<const std::vector<TokenId>> prompts,
                                        std::span<const std::filesystem::path> files,
                                        const GreedyLimits& limits) {
  ScoredModel captioner = scored;
  for (const TokenId id : prompt_template.stop_ids(scored.tokenizer)) captioner.end_ids.push_back(id);
  std::vector<std::string> captions = continue_lines(captioner, prompts, limits, files);
  for (std::string& caption : captions) {
    for (const std::string& stop : prompt_template.stop_texts())
      caption.resize(std::min(caption.size(), caption.find(stop)));
    caption = trimmed(caption);
  }
  return captions;
}

}  // namespace excitor
