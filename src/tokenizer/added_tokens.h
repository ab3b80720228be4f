// Added tokens: Hugging Face's name for tokens that a text is searched for before anything else happens to
// it.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

#include "text_steps.h"

namespace excitor {

/// One token, with the flags of tokenizer.json.
struct AddedToken {
  std::string content;
  TokenId id = -1;
  bool normalized = false;   ///< looked for in the normalised text, by its normalised content
  bool single_word = false;  ///< not where a letter, digit or underscore touches it
  bool lstrip = false;       ///< takes the blanks in front of it along
  bool rstrip = false;       ///< and those behind it
};

/// Finds tokens of one kind (normalised or not) in a text: the leftmost, of several at one place the longest.
class AddedTokenFinder {
 public:
  /// Later ones of the same `pattern` are never found.
  void add(const std::string& pattern, const AddedToken& token);

  /// What a text is made of, in its order: stretches without a token, never empty, and tokens.
  struct Visitor {
    std::function<void(const Stretch&)> stretch;
    std::function<void(TokenId)> token;
  };
  void visit(const Stretch& text, const Visitor& visitor) const;

 private:
  struct Pattern {
    std::string text;
    AddedToken token;
  };
  const Pattern* find_at(std::string_view text, size_t at) const;

  bool is_empty_ = true;
  std::array<std::vector<Pattern>, 256> by_first_byte_;  // the longest first
};

/// Splits texts at the added tokens of a vocabulary and normalises what is between: tokens are looked for
/// first in the text as it is, then, those that are `normalized`, in what its normalised stretches are.
class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(const std::vector<AddedToken>& tokens, std::vector<TextStep> normalizer);

  /// The stretches are normalised.
  void visit(std::string_view text, const AddedTokenFinder::Visitor& visitor) const;

 private:
  std::vector<TextStep> normalizer_;
  AddedTokenFinder as_written_;
  AddedTokenFinder normalized_;
};

}  // namespace excitor
