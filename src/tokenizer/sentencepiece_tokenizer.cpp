#include "sentencepiece_tokenizer.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "added_tokens.h"
#include "model_proto_check.h"
#include "tokenizer_folder.h"
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
    if (const std::string damage = find_model_proto_damage(content); !damage.empty()) throw_damaged(damage);
    load(processor_, content);
    word_by_word_ = encodes_word_by_word(content);
    const TokenizerFolder folder(file.parent_path());
    read_added_tokens(folder);
    find_bos_and_eos(folder);
    prepare_prefix(folder, content);
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    require_utf8(text);
    std::vector<TokenId> ids;
    added_.visit(text, {.stretch = [&](const Stretch& stretch) { append_stretch(stretch, ids); },
                        .token = [&](TokenId id) { ids.push_back(id); }});
    return ids;
  }

  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    std::vector<TokenId> of_model;  // side by side
    for (const TokenId id : ids) {
      if (!is_in_vocabulary(id) || is_control(id)) continue;
      if (const FolderToken* added = find_added(id)) {
        append_decoded(of_model, text);
        text += with_spaces(added->token.content);
      } else {
        of_model.push_back(id);
      }
    }
    append_decoded(of_model, text);
    if (without_prefix_ && prefix_ != PrefixSpace::never && text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

  std::string piece(TokenId id) const override {
    require_in_vocabulary(id);
    const FolderToken* added = find_added(id);
    return added ? added->token.content : processor_.IdToPiece(id);
  }

  std::optional<TokenId> find_control(std::string_view name) const override {
    const auto content = [](const FolderToken& added) -> const std::string& { return added.token.content; };
    if (const auto added = std::ranges::find(tail_, name, content); added != tail_.end())
      return added->token.id;
    const TokenId id = processor_.PieceToId(name);
    if (processor_.IsUnknown(id) || processor_.IsByte(id)) return std::nullopt;
    return id;
  }
  bool adds_leading_space() const override { return prefix_ != PrefixSpace::never; }

  int64_t vocab_size() const override {
    return processor_.GetPieceSize() + static_cast<int64_t>(tail_.size());
  }
  TokenId bos() const override { return bos_; }
  TokenId eos() const override { return eos_; }

 private:
  void load(sentencepiece::SentencePieceProcessor& processor, std::string_view content) const {
    sentencepiece::logging::SetMinLogLevel(kLogOnlyFatal);
    try {
      const auto status = processor.LoadFromSerializedProto(content);
      if (!status.ok()) throw_damaged(status.ToString());
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // its double-array builder throws
      throw_damaged(error.what());
    }
  }

  /// Those behind the model's own, and which of all are looked for in texts.
  void read_added_tokens(const TokenizerFolder& folder) {
    std::vector<FolderToken> changes;
    for (const FolderToken& added : folder.added_tokens(processor_.GetPieceSize())) {
      const bool is_new = added.token.id >= processor_.GetPieceSize();
      const bool is_looked_for = !added.is_special && (is_new || is_ordinary_piece(added.token));
      if (is_new) tail_.push_back(added);
      if (is_looked_for) found_.push_back(added.token);
      if (is_new || is_looked_for) changes.push_back(added);
    }
    note_additions(describe_tokens(changes));
  }

  bool is_ordinary_piece(const AddedToken& token) const {
    return processor_.IdToPiece(token.id) == token.content && !processor_.IsControl(token.id) &&
           !processor_.IsUnknown(token.id);
  }

  void find_bos_and_eos(const TokenizerFolder& folder) {
    const auto find = [this](const std::string& name) { return find_control(name).value_or(-1); };
    const auto [bos, eos] =
        folder.special_tokens(find, {.otherwise = {.bos = processor_.bos_id(), .eos = processor_.eos_id()},
                                     .first_config_id = processor_.GetPieceSize()});
    // An id of config.json without a token is a row that is there for the embedding's size.
    bos_ = required_id(is_in_vocabulary(bos) ? bos : processor_.bos_id(), "BOS");
    eos_ = required_id(is_in_vocabulary(eos) ? eos : processor_.eos_id(), "EOS");
    std::erase_if(found_, [this](const AddedToken& token) { return token.id == bos_ || token.id == eos_; });
    added_ = AddedTokens(found_, {});
  }

  /// A second processor where stretches without a prefix may come up.
  void prepare_prefix(const TokenizerFolder& folder, std::string_view content) {
    prefix_ = adds_dummy_prefix(content) ? folder.prefix_space() : PrefixSpace::never;
    if (!adds_dummy_prefix(content) || (found_.empty() && prefix_ != PrefixSpace::never)) return;
    without_prefix_ = std::make_unique<sentencepiece::SentencePieceProcessor>();
    load(*without_prefix_, without_dummy_prefix(content));
    note_additions(fmt::format("prefix {}", static_cast<int>(prefix_)));
  }

  bool takes_prefix(const Stretch& stretch) const {
    if (prefix_ == PrefixSpace::never || stretch.at_start) return prefix_ != PrefixSpace::never;
    return prefix_ == PrefixSpace::always && !stretch.text.starts_with(' ') &&
           !stretch.text.starts_with(kSpaceSymbol);
  }

  void append_stretch(const Stretch& stretch, std::vector<TokenId>& ids) const {
    bool as_word = !without_prefix_ || takes_prefix(stretch);
    const auto append = [&](std::string_view part) {
      as_word ? append_word(part, ids) : append_encoded(*without_prefix_, part, ids);
      as_word = true;
    };
    word_by_word_ ? for_each_word(stretch.text, append) : append(stretch.text);
  }

  void append_encoded(const sentencepiece::SentencePieceProcessor& processor, std::string_view text,
                      std::vector<TokenId>& ids) const {
    std::vector<TokenId> encoded;
    require_ok(processor.Encode(text, &encoded), "encode a text");
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }

  void append_word(std::string_view word, std::vector<TokenId>& ids) const {
    if (words_.append_ids(word, ids)) return;
    std::vector<TokenId> word_ids;
    append_encoded(processor_, word, word_ids);
    words_.remember(word, word_ids);
    ids.insert(ids.end(), word_ids.begin(), word_ids.end());
  }

  /// Appends the text of `ids`, which is empty then. Where stretches are told apart, with its prefix.
  void append_decoded(std::vector<TokenId>& ids, std::string& text) const {
    std::string part;
    require_ok((without_prefix_ ? *without_prefix_ : processor_).Decode(ids, &part), "decode ids");
    text += part;
    ids.clear();
  }

  [[noreturn]] void throw_damaged(std::string_view reason) const {
    throw CheckpointError(
        fmt::format("{} is a damaged SentencePiece model, or none at all: {}. Copy it again from its "
                    "source.",
                    name_, reason));
  }

  /// A token behind the model's own; nullptr for one of the model.
  const FolderToken* find_added(TokenId id) const {
    const TokenId first = processor_.GetPieceSize();
    return id < first ? nullptr : &tail_[static_cast<size_t>(id - first)];
  }

  bool is_control(TokenId id) const {
    const FolderToken* added = find_added(id);
    return id == bos_ || id == eos_ || (added && added->is_special);
  }

  bool is_in_vocabulary(TokenId id) const { return id >= 0 && id < vocab_size(); }

  TokenId required_id(int id, std::string_view what) const {
    if (id >= 0) return id;
    throw CheckpointError(
        fmt::format("{} has no {} token (a control symbol, {} in LLaMA's), which prompts and answers "
                    "need; use the tokenizer that belongs to the model",
                    name_, what, what == "BOS" ? "<s>" : "</s>"));
  }

  void require_in_vocabulary(TokenId id) const {
    if (is_in_vocabulary(id)) return;
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
  std::unique_ptr<sentencepiece::SentencePieceProcessor> without_prefix_;  // null: never asked for
  std::vector<FolderToken> tail_;  // added behind the model's own, without a hole
  std::vector<AddedToken> found_;  // those that texts are searched for
  AddedTokens added_;
  PrefixSpace prefix_ = PrefixSpace::first;
  TokenId bos_ = -1;
  TokenId eos_ = -1;
  bool word_by_word_ = false;
  mutable WordCache words_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view content,
                                                        const std::filesystem::path& file) {
  return std::make_unique<SentencePieceTokenizer>(content, file);
}

}  // namespace excitor
