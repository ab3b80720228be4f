// Prompts that fit the model's positions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Drops all but the last `room` - 1 tokens behind BOS. True when that were any.
bool cut_context(std::vector<TokenId>& ids, int64_t room);

struct FittedContext {
  std::vector<TokenId> ids;  ///< BOS first
  int64_t shots = 0;         ///< that are left
  bool is_cut = false;       ///< tokens behind BOS are missing even without shots
};

/// The longest prompt of at most `room` tokens: shots are left out from the end; what is too long without
/// any loses its beginning behind BOS. `prompt` is the text with so many shots.
FittedContext fit_context(const Tokenizer& tokenizer, int64_t shots, int64_t room,
                          const std::function<std::string(int64_t shots)>& prompt);

/// The tokens of a choice behind a space, at least one.
std::vector<TokenId> encode_choice(const Tokenizer& tokenizer, const std::string& choice);

/// The tokens of " " + choice behind a context, as lm-evaluation-harness takes them: what the text of both
/// has beyond the context's tokens. Blanks that end the context belong to the choice.
struct ChoiceTokens {
  std::vector<TokenId> context;               ///< BOS first
  std::vector<std::vector<TokenId>> choices;  ///< each at least one token
};
ChoiceTokens encode_choices(const Tokenizer& tokenizer, const std::string& context,
                            const std::vector<std::string>& choices);

}  // namespace excitor
