// A prompt or a conversation in pieces: what a template makes of messages, and a tokenizer turns into ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace excitor {

using TokenId = int32_t;

/// One piece. Text is encoded as ordinary characters whatever it spells; control tokens, BOS and EOS stand
/// here by themselves, so what a user writes can never become one.
struct TemplatePiece {
  enum class Kind { text, control, bos, eos };

  Kind kind = Kind::text;
  std::string text = {};    ///< of a text; of a control token its name ("<|eot_id|>")
  bool supervised = false;  ///< part of an assistant's answer: what the model is trained to say
  /// A space of the template stands in front of the text. Tokenizers that begin every text with one
  /// (SentencePiece) then put no second.
  bool leading_space = false;
  bool untrained_answer = false;  ///< an assistant's answer that never is supervised: context alone

  bool operator==(const TemplatePiece&) const = default;
};

/// The tokens of pieces, beside each the `supervised` of its piece.
struct EncodedPieces {
  std::vector<TokenId> ids;         // [T]
  std::vector<uint8_t> supervised;  // [T]
};

}  // namespace excitor
