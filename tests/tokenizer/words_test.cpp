// Encoding word by word must give what SentencePiece gives for the whole text.
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/files.h>
#include <excitor/util/random.h>

#include "tokenizer/tiny_tokenizer.h"

namespace excitor {
namespace {

/// Texts full of the places where words could be cut wrongly: runs of spaces, ▁ itself, line ends, no spaces
/// at all.
std::string random_text(Random& random) {
  static const std::vector<std::string> kParts = {" ",   " ",    "  ",  "▁",   "\n", "\t", "the", "box",
                                                  "red", "e",    "h",   "d",   "is", "in", ".",   "日本",
                                                  "é",   "🦙", "<s>", "123", "he", "xs", "a",   "The"};
  std::string text;
  for (uint64_t parts = random.below(24); parts > 0; --parts) text += kParts[random.below(kParts.size())];
  return text;
}

/// Ours and SentencePiece's tokenizer for one model.
struct Both {
  explicit Both(const std::filesystem::path& file) : ours(load_tokenizer(file)) {
    if (!theirs.LoadFromSerializedProto(read_file(file)).ok())
      throw std::runtime_error("the model does not load");
  }
  std::unique_ptr<Tokenizer> ours;
  sentencepiece::SentencePieceProcessor theirs;
};

void expect_same_ids(const Both& both, uint64_t texts) {
  Random random(0, 0);
  for (uint64_t i = 0; i < texts; ++i) {
    const std::string text = random_text(random);
    ASSERT_EQ(both.ours->encode(text), both.theirs.EncodeAsIds(text)) << '"' << text << '"';
  }
}

TEST(WordByWord, GivesTheIdsOfTheWholeText) {
  const test::ScratchFolder folder;
  expect_same_ids(Both(folder.write("tokenizer.model", test::train_llama_like_model())), 5000);
}

TEST(WordByWord, IsNotDoneWhereAModelDoesNotAllowIt) {
  const test::ScratchFolder folder;
  const std::vector<std::map<std::string, std::string>> kinds = {
      {{"split_by_whitespace", "false"}},
      {{"model_type", "unigram"}},
      {{"add_dummy_prefix", "false"}},
      {{"remove_extra_whitespaces", "true"}},
      {{"byte_fallback", "false"}, {"vocab_size", "80"}},
      {{"normalization_rule_name", "nmt_nfkc"}},
      {{"treat_whitespace_as_suffix", "true"}},
      {{"user_defined_symbols", "e▁h,he"}},
  };
  for (const auto& changes : kinds) {
    SCOPED_TRACE(changes.begin()->first);
    expect_same_ids(Both(folder.write("tokenizer.model", test::train_llama_like_model(changes))), 1000);
  }
}

TEST(WordByWord, GivesTheIdsOfTheWholeTextWithLlamasModel) {
  const auto model = test::find_shared_file("data/llama_tokenizer.model");
  const auto text = test::find_shared_file("data/heldout.txt");
  if (!model || !text) GTEST_SKIP() << "llama_tokenizer.model or heldout.txt is not in the shared folder";
  const Both both(*model);
  expect_same_ids(both, 2000);
  const std::string whole = read_file(*text);
  EXPECT_EQ(both.ours->encode(whole), both.theirs.EncodeAsIds(whole));
}

TEST(WordByWord, MayBeDoneByManyThreadsAtOnce) {
  const test::ScratchFolder folder;
  const Both both(folder.write("tokenizer.model", test::train_llama_like_model()));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&both] { expect_same_ids(both, 1000); });
}

}  // namespace
}  // namespace excitor
