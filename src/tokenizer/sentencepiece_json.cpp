// A piece of a BPE model has a score that falls with the order in which it was learnt; tokenizers write that
// order as a list of pairs that are merged.
#include <excitor/tokenizer/sentencepiece_json.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <sentencepiece_processor.h>
#include <nlohmann/json.hpp>

#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/files.h>

#include "words.h"

namespace excitor {
namespace {

using sentencepiece::SentencePieceProcessor;

struct Merge {
  float score;  ///< of the piece that it makes
  int piece;
  size_t split;  ///< bytes of its left part
};

/// Pieces that merges make and are made of, by their text.
std::unordered_map<std::string_view, int> mergeable_pieces(const SentencePieceProcessor& model) {
  std::unordered_map<std::string_view, int> pieces;
  for (int id = 0; id < model.GetPieceSize(); ++id) {
    const bool is_text =
        !model.IsControl(id) && !model.IsUnknown(id) && !model.IsByte(id) && !model.IsUnused(id);
    if (is_text) pieces.emplace(model.IdToPiece(id), id);
  }
  return pieces;
}

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

/// Every pair of pieces that makes a piece, in the order in which the model would merge them.
Json merges_of(const SentencePieceProcessor& model) {
  const auto pieces = mergeable_pieces(model);
  std::vector<Merge> merges;
  for (const auto& [text, id] : pieces) {
    for (size_t split = 1; split < text.size(); ++split) {
      if (begins_character(text[split]) && pieces.contains(text.substr(0, split)) &&
          pieces.contains(text.substr(split)))
        merges.push_back({model.GetScore(id), id, split});
    }
  }
  std::ranges::sort(merges, [](const Merge& a, const Merge& b) {
    return std::tuple(-a.score, a.piece, a.split) < std::tuple(-b.score, b.piece, b.split);
  });
  Json pairs = Json::array();
  for (const Merge& merge : merges) {
    const std::string& text = model.IdToPiece(merge.piece);
    pairs.push_back({text.substr(0, merge.split), text.substr(merge.split)});
  }
  return pairs;
}

Json vocabulary_of(const SentencePieceProcessor& model) {
  Json vocabulary = Json::object();
  auto& entries = vocabulary.get_ref<Json::object_t&>();  // its operator[] would search all of them each time
  for (int id = 0; id < model.GetPieceSize(); ++id) entries.push_back({model.IdToPiece(id), id});
  return vocabulary;
}

/// The control tokens and those that other files of the folder add.
Json added_tokens_of(const SentencePieceProcessor& model, const Tokenizer& tokenizer) {
  Json tokens = Json::array();
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (id < model.GetPieceSize() && !model.IsControl(id) && !model.IsUnknown(id)) continue;
    tokens.push_back({{"id", id},
                      {"content", tokenizer.piece(id)},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  }
  return tokens;
}

Json bos_in_front(const Tokenizer& tokenizer) {
  const std::string bos = tokenizer.piece(tokenizer.bos());
  const auto token = [&](int type) { return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}}; };
  const auto text = [](const char* id, int type) {
    return Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({token(0), text("A", 0)})},
          {"pair", Json::array({token(0), text("A", 0), token(1), text("B", 1)})},
          {"special_tokens",
           {{bos, {{"id", bos}, {"ids", Json::array({tokenizer.bos()})}, {"tokens", Json::array({bos})}}}}}};
}

/// Spaces as ▁, and one more in front: escape_whitespaces and add_dummy_prefix.
Json normalizer() {
  return {{"type", "Sequence"},
          {"normalizers",
           Json::array({{{"type", "Prepend"}, {"prepend", "▁"}},
                        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}})}};
}

Json decoder() {
  return {{"type", "Sequence"},
          {"decoders", Json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                                    {{"type", "ByteFallback"}},
                                    {{"type", "Fuse"}},
                                    {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}};
}

}  // namespace

std::optional<Json> sentencepiece_as_tokenizer_json(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  // A protobuf that begins with its first piece; LLaMA 3's vocabulary is a text.
  if (!content.starts_with('\n')) return std::nullopt;
  const auto tokenizer = load_tokenizer(file);  // throws for a damaged one
  SentencePieceProcessor model;
  if (!encodes_word_by_word(content) || !model.LoadFromSerializedProto(content).ok()) return std::nullopt;
  return Json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added_tokens_of(model, *tokenizer)},
              {"normalizer", normalizer()},
              {"pre_tokenizer", nullptr},
              {"post_processor", bos_in_front(*tokenizer)},
              {"decoder", decoder()},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", model.IdToPiece(model.unk_id())},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", true},
                {"byte_fallback", true},
                {"ignore_merges", false},
                {"vocab", vocabulary_of(model)},
                {"merges", merges_of(model)}}}};
}

}  // namespace excitor
