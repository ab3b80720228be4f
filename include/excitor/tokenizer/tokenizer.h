// Text <-> token ids. The one owner of BOS and EOS: everything else asks for a prompt or an answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

namespace excitor {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of `text` alone: no BOS, no EOS. What spells a control token ("<s>", "<|eot_id|>") is ordinary
  /// characters; control tokens come from templates alone (encode_pieces). `text` must be valid UTF-8
  /// (DataError otherwise). May be called by several threads at once.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
  /// The text of `ids`; control tokens (BOS, EOS) give nothing, nor do ids outside the vocabulary, which a
  /// model with a padded embedding may say; bytes that form no character give U+FFFD.
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
  /// The piece of one id as the vocabulary spells it ("▁the", "<0x0A>"). Throws CheckpointError for an id
  /// outside the vocabulary.
  virtual std::string piece(TokenId id) const = 0;

  /// The id of the control token of that name, if the vocabulary has it.
  virtual std::optional<TokenId> find_control(std::string_view name) const = 0;
  /// True when every text is encoded as though a space stood before it (SentencePiece's dummy prefix).
  virtual bool adds_leading_space() const = 0;

  virtual int64_t vocab_size() const = 0;
  virtual TokenId bos() const = 0;
  virtual TokenId eos() const = 0;

  /// BOS + ids of the text. A text that spells BOS ("<s>…") gets no second one: it is encoded as ordinary
  /// characters.
  std::vector<TokenId> encode_prompt(std::string_view text) const;
  /// Ids of the text + EOS.
  std::vector<TokenId> encode_answer(std::string_view text) const;

  /// The ids of a template's pieces, each text encoded apart. Throws CheckpointError that names a control
  /// token that the vocabulary lacks.
  EncodedPieces encode_pieces(const std::vector<TemplatePiece>& pieces) const;

  /// Hash of the tokenizer's file; kept in adapters so that another tokenizer is noticed.
  const std::string& sha256() const { return sha256_; }
  /// sha256(), or where other files of the folder add tokens another hash: differs when the ids of some text
  /// or template may. (BOS and EOS are not in it.)
  std::string fingerprint() const;

  /// Throws CheckpointError when the vocabulary is larger than the model's embedding, which has `rows`: an id
  /// without a row must never come up. `model` is the folder to name, or "".
  void require_rows(int64_t rows, const std::string& model) const;

 protected:
  /// Throws DataError that names the offset.
  static void require_utf8(std::string_view text);
  /// `additions` tells apart what files beside the tokenizer's own may add; "" for nothing.
  void note_additions(const std::string& additions) { additions_ += additions; }

  std::string sha256_;

 private:
  std::vector<TokenId> encode_piece(const TemplatePiece& piece) const;

  std::string additions_;
};

/// Loads the tokenizer of a model folder (tokenizer.model, for a Meta folder also the one beside it, else
/// tokenizer.json), or a tokenizer file itself. The kind is told from the content: a SentencePiece model,
/// LLaMA 3's tiktoken vocabulary, or Hugging Face's JSON. Throws CheckpointError: none found (what was looked
/// for), empty, damaged, with something in it that is not understood, or without BOS/EOS.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder_or_file);

}  // namespace excitor
