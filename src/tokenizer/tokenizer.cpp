#include <excitor/tokenizer/tokenizer.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "sentencepiece_tokenizer.h"

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

/// A Meta download keeps one tokenizer.model beside the folders of the sizes (7B/params.json).
std::vector<fs::path> candidates(const fs::path& folder) {
  std::vector<fs::path> files{folder / kModelFile};
  if (is_there(folder / "params.json")) files.push_back((folder / ".." / kModelFile).lexically_normal());
  return files;
}

[[noreturn]] void throw_not_found(const fs::path& folder) {
  if (is_there(folder / kHuggingFaceFile)) {
    throw CheckpointError(
        fmt::format("{} holds a {}, which is not read yet, and no {}; put the model's SentencePiece "
                    "file beside it",
                    folder.string(), kHuggingFaceFile, kModelFile));
  }
  throw CheckpointError(
      fmt::format("no tokenizer in {}: looked for {}; copy the file that belongs to the model there",
                  folder.string(), kModelFile));
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

/// LLaMA 3's file: lines of a base64 text, a space and a rank.
bool looks_like_tiktoken(std::string_view content) {
  const std::string_view line = content.substr(0, content.find('\n'));
  const size_t space = line.find(' ');
  if (space == 0 || space == line.npos || space + 1 == line.size() || line.size() > 400) return false;
  const auto is_base64 = [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '/' || c == '='; };
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) || c == '\r'; };
  return std::ranges::all_of(line.substr(0, space), is_base64) &&
         std::ranges::all_of(line.substr(space + 1), is_digit);
}

/// Says what a file is that is no SentencePiece model but something often found in its place.
void reject_other_kinds(std::string_view content, const std::string& name) {
  if (content.empty()) throw CheckpointError(fmt::format("{} is empty; copy it again from its source", name));
  if (content.starts_with("version https://git-lfs")) {
    throw CheckpointError(
        fmt::format("{} is a Git LFS pointer, not the file itself; run \"git lfs pull\" in the model's "
                    "folder",
                    name));
  }
  if (content.front() == '{') {
    throw CheckpointError(
        fmt::format("{} is JSON (a Hugging Face tokenizer.json?), which is not read yet; a SentencePiece "
                    "{} is expected",
                    name, kModelFile));
  }
  if (content.front() == '<') {
    throw CheckpointError(
        fmt::format("{} is a web page, not a tokenizer: the download answered with an error; get it "
                    "again",
                    name));
  }
  if (looks_like_tiktoken(content)) {
    throw CheckpointError(
        fmt::format("{} is a tiktoken vocabulary (LLaMA 3), which is not read yet; a SentencePiece "
                    "model (LLaMA 1 and 2) is expected",
                    name));
  }
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

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder_or_file) {
  const fs::path file = find_tokenizer_file(folder_or_file);
  const std::string content = read_file(file);
  reject_other_kinds(content, file.string());
  return make_sentencepiece_tokenizer(content, file.string());
}

}  // namespace excitor
