#include <excitor/tokenizer/tokenizer.h>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/sha256.h>
#include <excitor/util/utf8.h>

#include "sentencepiece_tokenizer.h"
#include "tiktoken_file.h"
#include "tokenizer_json.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModelFile = "tokenizer.model";
constexpr std::string_view kHuggingFaceFile = "tokenizer.json";

/// False too where the system refuses to say.
bool is_there(const fs::path& path) {
  std::error_code refused;
  return fs::exists(path, refused);
}

/// tokenizer.model first. A Meta download keeps one beside the folders of the sizes (7B/params.json).
std::vector<fs::path> candidates(const fs::path& folder) {
  std::vector<fs::path> files{folder / kModelFile};
  if (is_there(folder / "params.json")) files.push_back((folder / ".." / kModelFile).lexically_normal());
  files.push_back(folder / kHuggingFaceFile);
  return files;
}

[[noreturn]] void throw_not_found(const fs::path& folder) {
  throw CheckpointError(
      fmt::format("no tokenizer in {}: looked for {} and {}; copy the file that belongs to the model there",
                  folder.string(), kModelFile, kHuggingFaceFile));
}

fs::path find_tokenizer_file(const fs::path& folder_or_file) {
  if (!is_there(folder_or_file)) {
    throw CheckpointError(
        fmt::format("no tokenizer: {} does not exist or may not be read", folder_or_file.string()));
  }
  if (!fs::is_directory(folder_or_file)) return folder_or_file;
  for (const fs::path& file : candidates(folder_or_file)) {
    if (is_there(file)) return file;
  }
  throw_not_found(folder_or_file);
}

/// Says what a file is that is no tokenizer but something often found in its place.
void reject_other_kinds(std::string_view content, const std::string& name) {
  if (content.empty()) throw CheckpointError(fmt::format("{} is empty; copy it again from its source", name));
  if (content.starts_with("version https://git-lfs")) {
    throw CheckpointError(
        fmt::format("{} is a Git LFS pointer, not the file itself; run \"git lfs pull\" in the model's "
                    "folder",
                    name));
  }
  if (content.front() == '<') {
    throw CheckpointError(
        fmt::format("{} is a web page, not a tokenizer: the download answered with an error; get it "
                    "again",
                    name));
  }
}

/// By its name too, so that a damaged one is told what is wrong with it. Neither SentencePiece models nor
/// tiktoken files begin with '{'.
bool is_json(std::string_view content, const fs::path& file) {
  return file.extension() == ".json" || content.front() == '{';
}

}  // namespace

std::vector<TokenId> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<TokenId> ids = encode(text);
  ids.insert(ids.begin(), bos());
  return ids;
}

std::vector<TokenId> Tokenizer::encode_answer(std::string_view text) const {
  std::vector<TokenId> ids = encode(text);
  ids.push_back(eos());
  return ids;
}

std::string Tokenizer::fingerprint() const {
  return additions_.empty() ? sha256_ : sha256_hex(sha256_ + additions_);
}

void Tokenizer::require_rows(int64_t rows, const std::string& model) const {
  if (vocab_size() <= rows) return;
  throw CheckpointError(
      fmt::format("the tokenizer has {} tokens, but the embedding{} has {} rows; they do not belong together",
                  vocab_size(), model.empty() ? "" : " of " + model, rows));
}

void Tokenizer::require_utf8(std::string_view text) {
  const size_t offset = find_invalid_utf8(text);
  if (offset == text.npos) return;
  throw DataError(fmt::format("the text is not valid UTF-8: byte 0x{:02X} at offset {}; save it as UTF-8",
                              static_cast<unsigned char>(text[offset]), offset));
}

EncodedPieces Tokenizer::encode_pieces(const std::vector<TemplatePiece>& pieces) const {
  EncodedPieces encoded;
  for (const TemplatePiece& piece : pieces) {
    const std::vector<TokenId> ids = encode_piece(piece);
    encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
    encoded.supervised.resize(encoded.ids.size(), piece.supervised ? 1 : 0);
  }
  return encoded;
}

std::vector<TokenId> Tokenizer::encode_piece(const TemplatePiece& piece) const {
  switch (piece.kind) {
    case TemplatePiece::Kind::text:
      return encode(piece.leading_space && !adds_leading_space() ? " " + piece.text : piece.text);
    case TemplatePiece::Kind::bos:
      return {bos()};
    case TemplatePiece::Kind::eos:
      return {eos()};
    case TemplatePiece::Kind::control:
      break;
  }
  if (const auto id = find_control(piece.text)) return {*id};
  throw CheckpointError(fmt::format(
      "the vocabulary has no control token {}, which the prompt template needs; choose a template "
      "that belongs to the model",
      piece.text));
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder_or_file) {
  const fs::path file = find_tokenizer_file(folder_or_file);
  const std::string content = read_file(file);
  reject_other_kinds(content, file.string());
  if (is_json(content, file)) return make_hugging_face_tokenizer(content, file);
  if (looks_like_tiktoken(content)) return make_tiktoken_tokenizer(content, file);
  return make_sentencepiece_tokenizer(content, file);
}

}  // namespace excitor
