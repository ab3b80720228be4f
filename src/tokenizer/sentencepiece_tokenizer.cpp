#include "sentencepiece_tokenizer.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "model_proto_check.h"
#include "special_tokens.h"
#include "words.h"

// Exported by the library but missing from its installed headers.
namespace sentencepiece::logging {
void SetMinLogLevel(int level);
}

namespace excitor {
namespace {

constexpr int kLogOnlyFatal = 3;

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string_view content, const std::filesystem::path& file) : name_(file.string()) {
    sha256_ = sha256_hex(content);
    load(content);
    adds_leading_space_ = adds_dummy_prefix(content);
    word_by_word_ = encodes_word_by_word(content);
    bos_ = required_id(processor_.bos_id(), "BOS");
    eos_ = required_id(processor_.eos_id(), "EOS");
    added_ = read_added_tokens(file.parent_path(), processor_.GetPieceSize());
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    require_utf8(text);
    if (!word_by_word_) return encode_whole(text);
    std::vector<TokenId> ids;
    for_each_word(text, [&](std::string_view word) { append_word(word, ids); });
    return ids;
  }

  std::string decode(const std::vector<TokenId>& ids) const override {
    std::vector<TokenId> of_model;
    for (const TokenId id : ids) {
      require_in_vocabulary(id);
      if (!find_added(id)) of_model.push_back(id);
    }
    std::string text;
    require_ok(processor_.Decode(of_model, &text), "decode ids");
    return text;
  }

  std::string piece(TokenId id) const override {
    require_in_vocabulary(id);
    const std::string* added = find_added(id);
    return added ? *added : processor_.IdToPiece(id);
  }

  std::optional<TokenId> find_control(std::string_view name) const override {
    if (const auto added = std::ranges::find(added_, name); added != added_.end())
      return processor_.GetPieceSize() + static_cast<TokenId>(added - added_.begin());
    const TokenId id = processor_.PieceToId(name);
    if (processor_.IsUnknown(id) || processor_.IsByte(id)) return std::nullopt;
    return id;
  }
  bool adds_leading_space() const override { return adds_leading_space_; }

  int64_t vocab_size() const override {
    return processor_.GetPieceSize() + static_cast<int64_t>(added_.size());
  }
  TokenId bos() const override { return bos_; }
  TokenId eos() const override { return eos_; }

 private:
  void load(std::string_view content) {
    sentencepiece::logging::SetMinLogLevel(kLogOnlyFatal);
    if (const std::string damage = find_model_proto_damage(content); !damage.empty()) throw_damaged(damage);
    try {
      const auto status = processor_.LoadFromSerializedProto(content);
      if (!status.ok()) throw_damaged(status.ToString());
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // its double-array builder throws
      throw_damaged(error.what());
    }
  }

  std::vector<TokenId> encode_whole(std::string_view text) const {
    std::vector<TokenId> ids;
    require_ok(processor_.Encode(text, &ids), "encode a text");
    return ids;
  }

  void append_word(std::string_view word, std::vector<TokenId>& ids) const {
    if (words_.append_ids(word, ids)) return;
    const std::vector<TokenId> word_ids = encode_whole(word);
    words_.remember(word, word_ids);
    ids.insert(ids.end(), word_ids.begin(), word_ids.end());
  }

  [[noreturn]] void throw_damaged(std::string_view reason) const {
    throw CheckpointError(
        fmt::format("{} is a damaged SentencePiece model, or none at all: {}. Copy it again from its "
                    "source.",
                    name_, reason));
  }

  /// The spelling of an added token; nullptr for one of the model.
  const std::string* find_added(TokenId id) const {
    const TokenId first = processor_.GetPieceSize();
    return id < first ? nullptr : &added_[static_cast<size_t>(id - first)];
  }

  TokenId required_id(int id, std::string_view what) const {
    if (id >= 0) return id;
    throw CheckpointError(
        fmt::format("{} has no {} token (a control symbol, {} in LLaMA's), which prompts and answers "
                    "need; use the tokenizer that belongs to the model",
                    name_, what, what == "BOS" ? "<s>" : "</s>"));
  }

  void require_in_vocabulary(TokenId id) const {
    if (id >= 0 && id < vocab_size()) return;
    throw CheckpointError(
        fmt::format("token id {} is not in the vocabulary of {} (ids 0 to {}): model and tokenizer do "
                    "not belong together",
                    id, name_, vocab_size() - 1));
  }

  void require_ok(const sentencepiece::util::Status& status, std::string_view what) const {
    if (status.ok()) return;
    throw CheckpointError(fmt::format("{} could not {}: {}", name_, what, status.ToString()));
  }

  std::string name_;
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<std::string> added_;  // ids follow the model's
  TokenId bos_ = -1;
  TokenId eos_ = -1;
  bool adds_leading_space_ = true;
  bool word_by_word_ = false;
  mutable WordCache words_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view content,
                                                        const std::filesystem::path& file) {
  return std::make_unique<SentencePieceTokenizer>(content, file);
}

}  // namespace excitor
