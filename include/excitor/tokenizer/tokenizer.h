// Text <-> token ids. The one owner of BOS and EOS: everything else asks for a prompt or an answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace excitor {

using TokenId = int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of `text` alone: no BOS, no EOS. `text` must be valid UTF-8 (DataError otherwise). May be called
  /// by several threads at once.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
  /// The text of `ids`; control tokens (BOS, EOS) give nothing; bytes that form no character give U+FFFD.
  /// Throws CheckpointError for an id outside the vocabulary.
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
  /// The piece of one id as the vocabulary spells it ("▁the", "<0x0A>").
  virtual std::string piece(TokenId id) const = 0;

  virtual int64_t vocab_size() const = 0;
  virtual TokenId bos() const = 0;
  virtual TokenId eos() const = 0;

  /// BOS + ids of the text. A text that spells BOS ("<s>…") gets no second one: it is encoded as ordinary
  /// characters.
  std::vector<TokenId> encode_prompt(std::string_view text) const;
  /// Ids of the text + EOS.
  std::vector<TokenId> encode_answer(std::string_view text) const;

  /// Hash of the tokenizer's file; kept in adapters so that another tokenizer is noticed.
  const std::string& sha256() const { return sha256_; }

 protected:
  std::string sha256_;
};

/// Loads the tokenizer of a model folder (tokenizer.model; for a Meta folder also the one beside it), or a
/// tokenizer file itself; the kind is told from the content (SentencePiece today). Throws CheckpointError:
/// none found (what was looked for), empty, damaged, of a kind not read yet, or without BOS/EOS.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder_or_file);

}  // namespace excitor
