#include "context_tokens.h"

#include <algorithm>
#include <utility>

#include <excitor/util/python_text.h>

namespace excitor {

bool cut_context(std::vector<TokenId>& ids, int64_t room) {
  const int64_t surplus = std::ssize(ids) - std::max<int64_t>(room, 1);
  if (surplus <= 0) return false;
  ids.erase(ids.begin() + 1, ids.begin() + 1 + surplus);
  return true;
}

std::vector<TokenId> encode_choice(const Tokenizer& tokenizer, const std::string& choice) {
  const std::vector<TokenId> ids = tokenizer.encode_pieces({{.text = choice, .leading_space = true}}).ids;
  return ids.empty() ? tokenizer.encode(" ") : ids;
}

FittedContext fit_context(const Tokenizer& tokenizer, int64_t shots, int64_t room,
                          const std::function<std::string(int64_t shots)>& prompt) {
  FittedContext fitted{.ids = tokenizer.encode_prompt(prompt(shots)), .shots = shots};
  while (std::ssize(fitted.ids) > room && fitted.shots > 0)
    fitted.ids = tokenizer.encode_prompt(prompt(--fitted.shots));
  fitted.is_cut = cut_context(fitted.ids, room);
  return fitted;
}

ChoiceTokens encode_choices(const Tokenizer& tokenizer, const std::string& context,
                            const std::vector<std::string>& choices) {
  const std::string stem(strip_end(context)), blanks = context.substr(stem.size());
  ChoiceTokens tokens{.context = tokenizer.encode_prompt(stem), .choices = {}};
  for (const std::string& choice : choices) {
    const std::vector<TokenId> whole = tokenizer.encode_prompt(stem + blanks + " " + choice);
    const size_t begin = stem.empty() ? whole.size() : std::min(tokens.context.size(), whole.size());
    std::vector<TokenId> rest(whole.begin() + static_cast<int64_t>(begin), whole.end());
    tokens.choices.push_back(rest.empty() ? encode_choice(tokenizer, choice) : std::move(rest));
  }
  return tokens;
}

}  // namespace excitor
