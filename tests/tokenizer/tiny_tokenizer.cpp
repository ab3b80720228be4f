#include "tokenizer/tiny_tokenizer.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <sentencepiece_trainer.h>

namespace excitor::test {
namespace {

const std::vector<std::string> kSentences = {
    "The red box holds a book.",
    "The blue box holds a pen and a book.",
    "Where is the book? It is in the box.",
    "Is the red box in the house? The red box is in the blue house.",
    "A cat and a dog are in the house.",
    "The dog holds a pen. The cat holds nothing.",
    "1 2 3 4 5 6 7 8 9 0 boxes and houses.",
};

class Sentences final : public sentencepiece::SentenceIterator {
 public:
  bool done() const override { return index_ == kSentences.size(); }
  void Next() override { ++index_; }
  const std::string& value() const override { return kSentences[index_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  size_t index_ = 0;
};

}  // namespace

std::string train_llama_like_model(const std::map<std::string, std::string>& changes) {
  std::unordered_map<std::string, std::string> options{
      {"model_type", "bpe"},        {"vocab_size", "320"},           {"byte_fallback", "true"},
      {"num_threads", "1"},         {"split_digits", "true"},        {"normalization_rule_name", "identity"},
      {"minloglevel", "3"},         {"hard_vocab_limit", "false"},   {"allow_whitespace_only_pieces", "true"},
      {"add_dummy_prefix", "true"}, {"character_coverage", "0.999"}, {"remove_extra_whitespaces", "false"},
  };
  for (const auto& [name, value] : changes) options[name] = value;
  Sentences sentences;
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &sentences, &model);
  if (!status.ok()) throw std::runtime_error("training the test's tokenizer: " + status.ToString());
  return model;
}

std::optional<std::filesystem::path> find_shared_file(std::string_view relative_path) {
  const char* configured = std::getenv("EXCITOR_SHARED_DIR");
  const std::filesystem::path folder =
      configured ? configured : "../shared";  // tests run in the repository's root
  if (!std::filesystem::exists(folder / relative_path)) return std::nullopt;
  return folder / relative_path;
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "excitor-test-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no scratch folder could be made: " + name);
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path ScratchFolder::write(std::string_view name, std::string_view content) const {
  std::filesystem::remove(path_ /
                          name);  // ext4 syncs a file that is cut and written again, but not a new one
  std::ofstream file(path_ / name, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.flush()) throw std::runtime_error("can't write " + (path_ / name).string());
  return path_ / name;
}

}  // namespace excitor::test
