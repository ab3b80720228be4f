#include <excitor/tokenizer/tokenizer.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/tokenizer/sentencepiece_json.h>
#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "tokenizer/tiny_tokenizer.h"

namespace excitor {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

/// Trained once for all tests of this file.
const std::string& tiny_model() {
  static const std::string model = test::train_llama_like_model();
  return model;
}

class TinyTokenizer : public testing::Test {
 protected:
  test::ScratchFolder folder;
  std::filesystem::path file = folder.write("tokenizer.model", tiny_model());
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder.path());
};

TEST_F(TinyTokenizer, LoadsFromAFolderAndFromTheFileItself) {
  EXPECT_EQ(load_tokenizer(file)->encode("the red box"), tokenizer->encode("the red box"));
}

TEST_F(TinyTokenizer, TakesBosAndEosFromTheModel) {
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->piece(1), "<s>");
  EXPECT_EQ(tokenizer->piece(2), "</s>");
}

TEST_F(TinyTokenizer, HashesTheFile) {
  EXPECT_EQ(tokenizer->sha256(), sha256_hex(tiny_model()));
}

TEST_F(TinyTokenizer, ATextSurvivesEncodingAndDecoding) {
  for (const std::string text :
       {"The red box.", "two  spaces", "line\nline\ttab", " leading", "naïve – 日本語 🦙", ""}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST_F(TinyTokenizer, TheSameModelAsJsonGivesTheSameIds) {
  const test::ScratchFolder other;
  other.write("tokenizer.json", sentencepiece_as_tokenizer_json(file)->dump());
  other.write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
  const auto translated = load_tokenizer(other.path());
  EXPECT_EQ(translated->bos(), 1);
  EXPECT_EQ(translated->vocab_size(), tokenizer->vocab_size());
  for (const std::string text : {"The red box.", "two  spaces   three", "line\nline\ttab", "  leading",
                                 "trailing  ", "naïve – 日本語 🦙", "▁x▁ y", "", " "}) {
    EXPECT_EQ(translated->encode(text), tokenizer->encode(text)) << text;
  }
}

TEST(SentencepieceAsJson, ModelsThatWorkOtherwiseAreNotTranslated) {
  const test::ScratchFolder folder;
  const auto translated = [&](const std::string& content) {
    return sentencepiece_as_tokenizer_json(folder.write("tokenizer.model", content)).has_value();
  };
  EXPECT_TRUE(translated(tiny_model()));
  EXPECT_FALSE(translated(test::train_llama_like_model({{"add_dummy_prefix", "false"}})));
  EXPECT_FALSE(translated(test::train_llama_like_model({{"normalization_rule_name", "nmt_nfkc"}})));
  EXPECT_FALSE(translated("aGVsbG8= 0\n"));
}

TEST_F(TinyTokenizer, AZeroByteIsACharacterLikeAnyOther) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST_F(TinyTokenizer, EncodingAddsNeitherBosNorEos) {
  EXPECT_THAT(tokenizer->encode("The red box."), Not(Contains(1)));
  EXPECT_THAT(tokenizer->encode("The red box."), Not(Contains(2)));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
}

TEST_F(TinyTokenizer, APromptIsBosAndItsTokens) {
  std::vector<TokenId> expected = tokenizer->encode("the box");
  expected.insert(expected.begin(), 1);
  EXPECT_EQ(tokenizer->encode_prompt("the box"), expected);
  EXPECT_THAT(tokenizer->encode_prompt(""), ElementsAre(1));
}

TEST_F(TinyTokenizer, AnAnswerIsItsTokensAndEos) {
  std::vector<TokenId> expected = tokenizer->encode("the box");
  expected.push_back(2);
  EXPECT_EQ(tokenizer->encode_answer("the box"), expected);
  EXPECT_THAT(tokenizer->encode_answer(""), ElementsAre(2));
}

TEST_F(TinyTokenizer, ControlTokensSpelledInATextAreOrdinaryCharacters) {
  for (const std::string text : {"<s>", "</s>", "a</s>b", "<unk>", "<s>the box</s>"}) {
    const std::vector<TokenId> ids = tokenizer->encode(text);
    EXPECT_THAT(ids, Each(testing::Gt(2))) << text;
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

TEST_F(TinyTokenizer, AByteTokenSpelledInATextIsOrdinaryCharacters) {
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<0x0A>")), "<0x0A>");
  EXPECT_GT(tokenizer->encode("<0x0A>").size(), tokenizer->encode("\n").size());
}

TEST_F(TinyTokenizer, DecodingLeavesBosAndEosOut) {
  std::vector<TokenId> ids = tokenizer->encode_prompt("the box");
  ids.push_back(tokenizer->eos());
  EXPECT_EQ(tokenizer->decode(ids), "the box");
}

TEST_F(TinyTokenizer, BytesThatFormNoCharacterDecodeToReplacementCharacters) {
  const TokenId first_byte = 3;  // <0x00>
  EXPECT_EQ(tokenizer->piece(first_byte), "<0x00>");
  EXPECT_EQ(tokenizer->decode({first_byte + 0xE2, first_byte + 0x82}), "\uFFFD\uFFFD");
  EXPECT_EQ(tokenizer->decode({first_byte + 0xE2, first_byte + 0x82, first_byte + 0xAC}), "€");
}

TEST_F(TinyTokenizer, DecodingPassesOverIdsOutsideTheVocabulary) {
  const auto size = static_cast<TokenId>(tokenizer->vocab_size());
  std::vector<TokenId> ids = tokenizer->encode("The red box");
  ids.insert(ids.begin() + 2, {size, size + 1000, -1});
  EXPECT_EQ(tokenizer->decode(ids), "The red box");
}

TEST_F(TinyTokenizer, AnIdOutsideTheVocabularyHasNoPiece) {
  const auto size = static_cast<TokenId>(tokenizer->vocab_size());
  EXPECT_THAT([&] { tokenizer->piece(size); },
              ThrowsMessage<CheckpointError>(testing::AllOf(HasSubstr("token id " + std::to_string(size)),
                                                            HasSubstr("0 to " + std::to_string(size - 1)))));
  EXPECT_THROW(tokenizer->piece(-1), CheckpointError);
}

TEST_F(TinyTokenizer, AnEmbeddingSmallerThanTheVocabularyIsRefused) {
  const int64_t size = tokenizer->vocab_size();
  tokenizer->require_rows(size, "model");
  EXPECT_THAT([&] { tokenizer->require_rows(size - 1, "models/small"); },
              ThrowsMessage<CheckpointError>(HasSubstr("models/small has " + std::to_string(size - 1))));
}

TEST_F(TinyTokenizer, TextThatIsNotUtf8IsAnErrorThatNamesTheOffset) {
  EXPECT_THAT([&] { tokenizer->encode("abc\xFFz"); },
              ThrowsMessage<DataError>(testing::AllOf(HasSubstr("0xFF"), HasSubstr("offset 3"))));
  EXPECT_THROW(tokenizer->encode("cut \xE2\x82"), DataError);
  EXPECT_THROW(tokenizer->encode("overlong \xC0\x80"), DataError);
  EXPECT_THROW(tokenizer->encode("surrogate \xED\xA0\x80"), DataError);
}

// Expected ids: huggyllama/llama-7b with transformers.
TEST(LlamaTokenizer, GivesTheIdsThatOthersGive) {
  const auto file = test::find_shared_file("data/llama_tokenizer.model");
  if (!file) GTEST_SKIP() << "data/llama_tokenizer.model is not in the shared folder";
  const auto tokenizer = load_tokenizer(*file);
  EXPECT_EQ(tokenizer->vocab_size(), 32000);
  EXPECT_THAT(tokenizer->encode_prompt("Hello world!"), ElementsAre(1, 15043, 3186, 29991));
  EXPECT_THAT(tokenizer->encode("\n"), ElementsAre(29871, 13));
  EXPECT_THAT(tokenizer->encode_answer("Hello"), ElementsAre(15043, 2));
  EXPECT_EQ(tokenizer->piece(15043), "▁Hello");
}

TEST(LlamaTokenizer, LoadsFromTheFolderOfAModel) {
  const auto file = test::find_shared_file("models/tiny-en/tokenizer.model");
  if (!file) GTEST_SKIP() << "models/tiny-en is not in the shared folder";
  const auto tokenizer = load_tokenizer(file->parent_path());
  EXPECT_EQ(tokenizer->vocab_size(), 2048);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("The quick brown fox – naïve 🦙")),
            "The quick brown fox – naïve 🦙");
}

}  // namespace
}  // namespace excitor
