#include "tiktoken_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "bpe_tokenizer.h"
#include "tokenizer_folder.h"

namespace excitor {
namespace {

/// meta-llama/llama3, Tokenizer.pat_str.
constexpr std::string_view kSplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr size_t kControlTokens = 256;

/// The first control tokens by LLaMA 3.1's names; "" is a reserved one. LLaMA 3.0 differs in the names of
/// places 4, 8 and 10 alone, which it reserves and never trained; those of 3.1 to 3.3 are in use (padding,
/// <|eom_id|> and <|python_tag|> of tool calls), and no template of 3.0 names the others.
constexpr std::array<std::string_view, 11> kControlNames = {"<|begin_of_text|>",
                                                            "<|end_of_text|>",
                                                            "",
                                                            "",
                                                            "<|finetune_right_pad_id|>",
                                                            "",
                                                            "<|start_header_id|>",
                                                            "<|end_header_id|>",
                                                            "<|eom_id|>",
                                                            "<|eot_id|>",
                                                            "<|python_tag|>"};

int base64_value(char c) {
  if ('A' <= c && c <= 'Z') return c - 'A';
  if ('a' <= c && c <= 'z') return c - 'a' + 26;
  if ('0' <= c && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// Nothing when `text` is not base64 (padded with "=" to a multiple of four).
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int value = i + padding >= text.size() ? 0 : base64_value(text[i]);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift & 0xFF);
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

class TiktokenReader {
 public:
  TiktokenReader(std::string_view content, const std::string& name) : rest_(content), name_(name) {}

  /// The tokens by their ranks.
  std::vector<BpeToken> read() {
    while (!rest_.empty()) {
      ++line_number_;
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) add_line(line);
    }
    check_holes();
    return std::move(tokens_);
  }

 private:
  void add_line(std::string_view line) {
    const size_t space = line.find(' ');
    if (space == line.npos) fail("expected a token in base64, a space and its rank");
    const auto bytes = decode_base64(line.substr(0, space));
    if (!bytes) fail(fmt::format("\"{:.60}\" is not base64", line.substr(0, space)));
    const size_t rank = parse_rank(line.substr(space + 1));
    if (rank >= tokens_.size()) tokens_.resize(rank + 1);
    if (!tokens_[rank].text.empty()) fail(fmt::format("the rank {} stands twice", rank));
    const auto [first, is_new] = ranks_.emplace(*bytes, rank);
    if (!is_new)
      fail(fmt::format("the token of rank {} stands here again, with rank {}", first->second, rank));
    tokens_[rank].text = *bytes;
  }

  size_t parse_rank(std::string_view text) const {
    constexpr size_t kLargestRank = 1 << 24;
    size_t rank = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
    if (error != std::errc() || end != text.data() + text.size() || rank > kLargestRank)
      fail(fmt::format("\"{:.60}\" is no rank: expected an integer from 0 to {}", text, kLargestRank));
    return rank;
  }

  void check_holes() const {
    const auto hole = std::ranges::find(tokens_, "", &BpeToken::text);
    if (hole == tokens_.end()) return;
    throw CheckpointError(
        fmt::format("{}: no token has the rank {}, though there are higher ones; the file is damaged or cut: "
                    "copy it again from its source",
                    name_, hole - tokens_.begin()));
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw CheckpointError(fmt::format("{}:{}: {}; the file is damaged: copy it again from its source", name_,
                                      line_number_, reason));
  }

  std::string_view rest_;
  const std::string& name_;
  size_t line_number_ = 0;
  std::vector<BpeToken> tokens_;
  std::unordered_map<std::string, size_t> ranks_;
};

/// tiktoken merges two tokens whenever their bytes together are a token, the lowest rank first: for each
/// token the merges of all its halves that are tokens.
BpeMerges merges_of(const std::vector<BpeToken>& tokens) {
  std::unordered_map<std::string_view, TokenId> ids;
  ids.max_load_factor(0.25);  // most look-ups find nothing: short chains make them twice as fast
  ids.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i].text, static_cast<TokenId>(i));
  BpeMerges merges;
  merges.reserve(3 * tokens.size());
  for (size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string_view text = tokens[rank].text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = ids.find(text.substr(0, cut));
      const auto right = ids.find(text.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.add(left->second, right->second,
                 {.rank = static_cast<uint32_t>(rank), .id = static_cast<TokenId>(rank)});
    }
  }
  return merges;
}

void add_control_tokens(std::vector<BpeToken>& tokens) {
  int reserved = 0;
  for (size_t place = 0; place < kControlTokens; ++place) {
    std::string name(place < kControlNames.size() ? kControlNames[place] : "");
    if (name.empty()) name = fmt::format("<|reserved_special_token_{}|>", reserved++);
    tokens.push_back({.text = name, .kind = BpeTokenKind::control});
  }
}

/// Tokens behind the control tokens, and other names of those.
void add_folder_tokens(const TokenizerFolder& folder, TokenId first_control, BpeDescription& d) {
  std::vector<FolderToken> changes;
  for (const FolderToken& added : folder.added_tokens(static_cast<int64_t>(d.tokens.size()))) {
    const auto place = static_cast<size_t>(added.token.id);
    if (added.token.id < first_control) continue;
    if (place == d.tokens.size()) d.tokens.emplace_back();
    const BpeToken token{.text = added.token.content,
                         .kind = added.is_special ? BpeTokenKind::control : BpeTokenKind::added};
    if (d.tokens[place] == token) continue;
    d.tokens[place] = token;
    changes.push_back(added);
    if (!added.is_special) d.added.push_back(added.token);
  }
  d.additions = describe_tokens(changes);
}

void find_bos_and_eos(const TokenizerFolder& folder, const SpecialTokens& own, BpeDescription& d) {
  const auto find = [&](const std::string& name) -> TokenId {
    for (size_t id = d.tokens.size(); id-- > 0;) {
      if (d.tokens[id].text == name) return static_cast<TokenId>(id);
    }
    return -1;
  };
  const auto [bos, eos] = folder.special_tokens(find, {.otherwise = own, .first_config_id = own.bos});
  d.bos = bos;
  d.eos = eos;
}

}  // namespace

bool looks_like_tiktoken(std::string_view content) {
  const std::string_view line = content.substr(0, content.find('\n'));
  const size_t space = line.find(' ');
  if (space == 0 || space == line.npos || space + 1 == line.size() || line.size() > 400) return false;
  const auto is_base64 = [](char c) { return base64_value(c) >= 0 || c == '='; };
  const auto is_digit = [](char c) { return ('0' <= c && c <= '9') || c == '\r'; };
  return std::ranges::all_of(line.substr(0, space), is_base64) &&
         std::ranges::all_of(line.substr(space + 1), is_digit);
}

std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(std::string_view content,
                                                   const std::filesystem::path& file) {
  BpeDescription d{.name = file.string(), .sha256 = sha256_hex(content)};
  d.tokens = TiktokenReader(content, d.name).read();
  d.merges = merges_of(d.tokens);
  d.ignore_merges = true;
  d.steps = {SplitIsolated{compile_split_pattern(kSplitPattern)}};
  const auto first_control = static_cast<TokenId>(d.tokens.size());
  add_control_tokens(d.tokens);
  const TokenizerFolder folder(file.parent_path());
  add_folder_tokens(folder, first_control, d);
  find_bos_and_eos(folder, {.bos = first_control, .eos = first_control + 1}, d);
  return make_bpe_tokenizer(std::move(d));
}

}  // namespace excitor
