// What the files beside a tokenizer.model say of its tokens; equality of ids with Hugging Face is
// tests/python's.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "tokenizer/tiny_tokenizer.h"

namespace excitor {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class FilesBesideAModel : public testing::Test {
 protected:
  FilesBesideAModel() {
    folder.write("tokenizer.model", test::train_llama_like_model());
    size = static_cast<TokenId>(load()->vocab_size());
  }
  std::unique_ptr<Tokenizer> load() { return load_tokenizer(folder.path()); }
  void write(const char* name, const Json& json) { folder.write(name, json.dump()); }
  /// An entry of added_tokens_decoder.
  static Json entry(const char* content, bool is_special) {
    return {{"content", content}, {"special", is_special}};
  }

  test::ScratchFolder folder;
  TokenId size = 0;
};

TEST_F(FilesBesideAModel, TheNamedEosEndsAnswers) {
  write("tokenizer_config.json", {{"eos_token", {{"content", "<|im_end|>"}}}, {"bos_token", "<s>"}});
  write("added_tokens.json", {{"<|im_end|>", size}});
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->encode_answer("a book").back(), size);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode_answer("a book")), "a book");
  EXPECT_THAT(tokenizer->encode("<|im_end|>"), testing::Each(testing::Lt(size)));
}

TEST_F(FilesBesideAModel, TheOlderMapOfSpecialTokensGoesFirstUnlessTheTokensAreListed) {
  write("special_tokens_map.json", {{"eos_token", "<end>"}, {"additional_special_tokens", {"<turn>"}}});
  write("tokenizer_config.json", {{"eos_token", "</s>"}});
  write("added_tokens.json", {{"<end>", size}, {"<turn>", size + 1}});
  EXPECT_EQ(load()->eos(), size);
  EXPECT_THAT(load()->encode("<turn>"), testing::Each(testing::Lt(size)));
  write("tokenizer_config.json",
        {{"eos_token", "</s>"}, {"added_tokens_decoder", {{std::to_string(size), entry("<end>", true)}}}});
  EXPECT_EQ(load()->eos(), 2);
  EXPECT_EQ(load()->vocab_size(), size + 1);
}

TEST_F(FilesBesideAModel, AnIdOfConfigJsonCountsWhenItIsAnAddedTokens) {
  write("config.json", {{"bos_token_id", 0}, {"eos_token_id", 1}});  // a conversion of LLaMA 1
  write("tokenizer_config.json", {{"bos_token", ""}, {"eos_token", ""}});
  EXPECT_EQ(load()->bos(), 1);
  EXPECT_EQ(load()->eos(), 2);
  write("config.json", {{"eos_token_id", size}});
  EXPECT_EQ(load()->eos(), 2);
  write("added_tokens.json", {{"<end>", size}});
  EXPECT_EQ(load()->eos(), size);
}

TEST_F(FilesBesideAModel, ANameThatTheVocabularyLacksIsAnError) {
  write("tokenizer_config.json", {{"eos_token", "<|im_end|>"}});
  EXPECT_THAT([&] { load(); }, ThrowsMessage<CheckpointError>(HasSubstr("<|im_end|>")));
}

TEST_F(FilesBesideAModel, WhatIsAddedTellsFoldersApart) {
  const std::string plain = load()->fingerprint();
  EXPECT_EQ(plain, load()->sha256());
  write("tokenizer_config.json", {{"eos_token", "</s>"}, {"legacy", true}});
  EXPECT_EQ(load()->fingerprint(), plain);
  write("added_tokens.json", {{"<a>", size}, {"<b>", size + 1}});
  const std::string added = load()->fingerprint();
  write("added_tokens.json", {{"<b>", size}, {"<a>", size + 1}});
  const std::string swapped = load()->fingerprint();
  write("tokenizer_config.json", {{"eos_token", "</s>"}, {"legacy", false}});
  EXPECT_EQ(std::set({plain, added, swapped, load()->fingerprint()}).size(), 4u);
  EXPECT_EQ(load()->sha256(), plain);  // what adapters were trained with is the same file
}

TEST_F(FilesBesideAModel, AddedTokensThatAreNotSpecialAreFoundAndDecoded) {
  write(
      "tokenizer_config.json",
      {{"added_tokens_decoder",
        {{std::to_string(size), entry("<tool>", false)}, {std::to_string(size + 1), entry("<pad>", true)}}}});
  const auto tokenizer = load();
  const std::vector<TokenId> ids = tokenizer->encode("the box<tool>a <pad>");
  EXPECT_EQ(std::ranges::count(ids, size), 1);
  EXPECT_EQ(std::ranges::count(ids, size + 1), 0);
  for (const char* text : {"the box<tool>a <pad>", "<tool> a", "<tool>", " <tool><tool>  b "})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST_F(FilesBesideAModel, ControlTokensStayThatWhateverTheFlagsSay) {
  write("tokenizer_config.json", {{"pad_token", "<pad>"},
                                  {"added_tokens_decoder",
                                   {{"0", entry("<unk>", false)},
                                    {"1", entry("<s>", false)},
                                    {"2", entry("</s>", false)},
                                    {std::to_string(size), entry("<pad>", false)}}}});
  EXPECT_THAT(load()->encode("<unk><s></s><pad>"),
              testing::Each(testing::AllOf(testing::Gt(2), testing::Lt(size))));
}

TEST_F(FilesBesideAModel, AnEntryThatIsNoTokenIsNamed) {
  write("tokenizer_config.json", {{"added_tokens_decoder", {{"x", entry("<tool>", false)}}}});
  EXPECT_THAT([&] { load(); }, ThrowsMessage<CheckpointError>(HasSubstr("\"x\"")));
  write("tokenizer_config.json", {{"added_tokens_decoder", {{std::to_string(size), {{"content", ""}}}}}});
  EXPECT_THAT([&] { load(); }, ThrowsMessage<CheckpointError>(HasSubstr("content is empty")));
  write("tokenizer_config.json", {{"added_tokens_decoder", {{std::to_string(size), "<tool>"}}}});
  EXPECT_THAT([&] { load(); }, ThrowsMessage<CheckpointError>(HasSubstr("expected an object")));
}

}  // namespace
}  // namespace excitor
