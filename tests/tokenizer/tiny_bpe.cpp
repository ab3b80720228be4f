#include "tokenizer/tiny_bpe.h"

#include <fmt/format.h>

#include "../../src/tokenizer/byte_characters.h"

namespace excitor::test {
namespace {

std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

}  // namespace

Json tiny_tokenizer_json() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[spell_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  for (const std::string& token : kTinyTokens) vocab[spell_bytes(token)] = vocab.size();
  const auto id = static_cast<int>(vocab.size());
  const auto special = [](int number, const char* content) {
    return Json{{"id", number},    {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", {special(id, "<|bos|>"), special(id + 1, "<|eos|>")}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<|bos|>"}, {"type_id", 0}}}},
              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
              {{"SpecialToken", {{"id", "<|eos|>"}, {"type_id", 0}}}}}},
            {"pair", Json::array()},
            {"special_tokens", Json::object()}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", {"t h", "h e", "th e", "Ġ the", "o x", "Ġ f", "Ġf ox"}}}}};
}

std::string tiny_tiktoken() {
  std::string file;
  int rank = 0;
  for (; rank < 256; ++rank)
    file += fmt::format("{} {}\n", base64(std::string(1, static_cast<char>(rank))), rank);
  for (const std::string& token : kTinyTokens) file += fmt::format("{} {}\n", base64(token), rank++);
  return file;
}

}  // namespace excitor::test
