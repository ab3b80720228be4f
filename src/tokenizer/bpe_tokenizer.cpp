#include "bpe_tokenizer.h"

#include <array>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

#include "byte_characters.h"
#include "words.h"

namespace excitor {
namespace {

/// Length of the character at the beginning of valid UTF-8.
size_t character_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) ++length;
  return length;
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeDescription description) : d_(std::move(description)) {
    sha256_ = d_.sha256;
    note_additions(d_.additions);
    for (const TokenId id : {d_.bos, d_.eos}) make_control(id);
    added_ = AddedTokens(d_.added, d_.normalizer);
    index_tokens();
    for (const AddedToken& token : d_.added) index_added(token);
    find_bytes();
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    require_utf8(text);
    std::vector<TokenId> ids;
    const auto add_word = [&](std::string_view word) { append_word(word, ids); };
    added_.visit(text, {.stretch = [&](const Stretch& s) { for_each_piece(s, d_.steps, add_word); },
                        .token = [&](TokenId id) { ids.push_back(id); }});
    return ids;
  }

  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    std::string bytes;  // of tokens <0x00> … that stand side by side
    for (const TokenId id : ids) {
      if (!is_in_vocabulary(id) || token_of(id).kind == BpeTokenKind::control) continue;
      const auto added = normalized_.find(id);
      if (added == normalized_.end() && d_.alphabet == BpeAlphabet::characters && byte_of_[index(id)] >= 0) {
        bytes += static_cast<char>(byte_of_[index(id)]);
        continue;
      }
      append_bytes(bytes, text);
      const std::string& spelled = added == normalized_.end() ? token_of(id).text : added->second;
      text += d_.alphabet == BpeAlphabet::characters ? with_spaces(spelled) : spelled;
    }
    append_bytes(bytes, text);
    if (d_.strips_leading_space && text.starts_with(' ')) text.erase(0, 1);
    return replace_invalid_utf8(text);
  }

  std::string piece(TokenId id) const override {
    require_in_vocabulary(id);
    const BpeToken& token = token_of(id);
    const bool is_bytes = d_.alphabet == BpeAlphabet::bytes && token.kind == BpeTokenKind::ordinary;
    return is_bytes ? spell_bytes(token.text) : token.text;
  }

  std::optional<TokenId> find_control(std::string_view name) const override {
    const auto found = specials_.find(name);
    if (found == specials_.end()) return std::nullopt;
    return found->second;
  }
  bool adds_leading_space() const override { return d_.adds_leading_space; }
  int64_t vocab_size() const override { return static_cast<int64_t>(d_.tokens.size()); }
  TokenId bos() const override { return d_.bos; }
  TokenId eos() const override { return d_.eos; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using IdsByText = std::unordered_map<std::string_view, TokenId, Hash, std::equal_to<>>;

  static size_t index(TokenId id) { return static_cast<size_t>(id); }
  const BpeToken& token_of(TokenId id) const { return d_.tokens[index(id)]; }

  void make_control(TokenId id) {
    require_in_vocabulary(id);
    d_.tokens[index(id)].kind = BpeTokenKind::control;
    std::erase_if(d_.added, [id](const AddedToken& token) { return token.id == id; });
  }

  void index_tokens() {
    ids_.reserve(d_.tokens.size());
    for (size_t i = 0; i < d_.tokens.size(); ++i) {
      const BpeToken& token = d_.tokens[i];
      const auto id = static_cast<TokenId>(i);
      (token.kind == BpeTokenKind::ordinary ? ids_ : specials_).emplace(token.text, id);
    }
  }

  void index_added(const AddedToken& token) {
    specials_.emplace(token.content, token.id);
    const std::string normalized = apply_steps(token.content, d_.normalizer);
    if (token.normalized && normalized != token.content) normalized_.emplace(token.id, normalized);
  }

  /// The tokens of the single bytes.
  void find_bytes() {
    byte_of_.assign(d_.tokens.size(), -1);
    for (int b = 0; b < 256; ++b) {
      const std::string spelled = d_.alphabet == BpeAlphabet::bytes ? std::string(1, static_cast<char>(b))
                                                                    : fmt::format("<0x{:02X}>", b);
      const auto found = ids_.find(spelled);
      if (found == ids_.end()) {
        throw CheckpointError(
            fmt::format("{}: the vocabulary has no token for the byte 0x{:02X}, so some texts would have no "
                        "ids; a byte-level vocabulary, or one with byte_fallback, holds all 256",
                        d_.name, b));
      }
      byte_ids_[static_cast<size_t>(b)] = found->second;
      byte_of_[index(found->second)] = static_cast<int16_t>(b);
    }
  }

  void append_word(std::string_view word, std::vector<TokenId>& ids) const {
    if (words_.append_ids(word, ids)) return;
    const std::vector<TokenId> word_ids = encode_word(word);
    words_.remember(word, word_ids);
    ids.insert(ids.end(), word_ids.begin(), word_ids.end());
  }

  std::vector<TokenId> encode_word(std::string_view word) const {
    if (d_.ignore_merges) {
      if (const auto whole = ids_.find(word); whole != ids_.end()) return {whole->second};
    }
    std::vector<TokenId> ids;
    if (d_.alphabet == BpeAlphabet::bytes)
      append_byte_tokens(word, ids);
    else
      append_characters(word, ids);
    d_.merges.apply(ids);
    return ids;
  }

  void append_byte_tokens(std::string_view bytes, std::vector<TokenId>& ids) const {
    for (const char byte : bytes) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  }

  void append_characters(std::string_view word, std::vector<TokenId>& ids) const {
    while (!word.empty()) {
      const std::string_view character = word.substr(0, character_length(word));
      if (const auto found = ids_.find(character); found != ids_.end())
        ids.push_back(found->second);
      else
        append_byte_tokens(character, ids);
      word.remove_prefix(character.size());
    }
  }

  /// Appends bytes that form characters, else U+FFFD for each of them; `bytes` is empty then.
  static void append_bytes(std::string& bytes, std::string& text) {
    if (find_invalid_utf8(bytes) == bytes.npos) {
      text += bytes;
    } else {
      for (size_t i = 0; i < bytes.size(); ++i) text += "\xEF\xBF\xBD";
    }
    bytes.clear();
  }

  bool is_in_vocabulary(TokenId id) const { return id >= 0 && id < vocab_size(); }

  void require_in_vocabulary(TokenId id) const {
    if (is_in_vocabulary(id)) return;
    throw CheckpointError(
        fmt::format("token id {} is not in the vocabulary of {} (ids 0 to {}): model and tokenizer do "
                    "not belong together",
                    id, d_.name, vocab_size() - 1));
  }

  BpeDescription d_;
  IdsByText ids_;       // of ordinary tokens
  IdsByText specials_;  // of the others, and of those that texts are searched for
  std::unordered_map<TokenId, std::string> normalized_;  // what added tokens that are so stand for
  AddedTokens added_;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<int16_t> byte_of_;  // [V], the byte that a token stands for, or -1
  mutable WordCache words_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeDescription description) {
  return std::make_unique<BpeTokenizer>(std::move(description));
}

}  // namespace excitor
