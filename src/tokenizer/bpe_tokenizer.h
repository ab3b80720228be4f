// BPE over a vocabulary that a file spells out: LLaMA 3's tiktoken file and Hugging Face's tokenizer.json.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <excitor/tokenizer/tokenizer.h>

#include "added_tokens.h"
#include "bpe_merges.h"
#include "text_steps.h"

namespace excitor {

enum class BpeTokenKind {
  ordinary,
  added,   ///< no word becomes it; found in a text as a whole, before all else
  control  ///< never found in a text, and nothing when decoded
};

struct BpeToken {
  std::string text;  ///< bytes of a byte-level vocabulary, else as spelled ("▁the", "<0x0A>")
  BpeTokenKind kind = BpeTokenKind::ordinary;

  bool operator==(const BpeToken&) const = default;
};

/// How a word begins before its merges, and how tokens become text again.
enum class BpeAlphabet {
  bytes,       ///< every byte is a token
  characters,  ///< characters are tokens; one that is none is its UTF-8 bytes, tokens <0x00> to <0xFF>; ▁ is
               ///< a space
};

/// All that a tokenizer is made of.
struct BpeDescription {
  std::string name;              ///< the file, for messages
  std::string sha256;            ///< of the file
  std::string additions;         ///< what the files beside it add, in any words; "" for nothing
  std::vector<BpeToken> tokens;  ///< [V], by id
  BpeMerges merges;
  BpeAlphabet alphabet = BpeAlphabet::bytes;
  bool ignore_merges = false;     ///< a word that is a token is that token, whatever the merges say
  std::vector<AddedToken> added;  ///< those that texts are searched for; may be ordinary ones as well
  std::vector<TextStep> normalizer;
  std::vector<TextStep> steps;  ///< behind it, before BPE
  bool adds_leading_space = false;
  bool strips_leading_space = false;  ///< the one in front of a decoded text
  TokenId bos = -1;                   ///< a control token whatever its kind, as EOS
  TokenId eos = -1;
};

/// Throws CheckpointError: a byte without a token, BOS or EOS outside the vocabulary.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeDescription description);

}  // namespace excitor
