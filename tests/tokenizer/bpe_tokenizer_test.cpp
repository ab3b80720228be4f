// LLaMA 3's two formats, in small; equality of ids over many texts is tests/python's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/tokenizer/prompt_template.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/random.h>

#include "tokenizer/tiny_bpe.h"
#include "tokenizer/tiny_tokenizer.h"

namespace excitor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Lt;
using testing::ThrowsMessage;

class BpeFile : public testing::Test {
 protected:
  std::unique_ptr<Tokenizer> load(std::string_view name, std::string_view content) {
    return load_tokenizer(folder.write(name, content));
  }
  std::unique_ptr<Tokenizer> load(const Json& json) { return load("tokenizer.json", json.dump()); }
  auto loading(const Json& json) {
    return [this, json] { load(json); };
  }
  auto loading(const std::string& content) {
    return [this, content] { load("tokenizer.model", content); };
  }
  static auto refused(const std::string& first, const std::string& second = "") {
    return ThrowsMessage<CheckpointError>(AllOf(HasSubstr(first), HasSubstr(second)));
  }

  test::ScratchFolder folder;
  Json json = test::tiny_tokenizer_json();
  std::string tiktoken = test::tiny_tiktoken();
};

using TokenizerJson = BpeFile;
using Tiktoken = BpeFile;

TEST_F(TokenizerJson, MergesByRankInsideWords) {
  const auto tokenizer = load(json);
  EXPECT_THAT(tokenizer->encode("the fox"), ElementsAre(258, 262));
  EXPECT_THAT(tokenizer->encode(" the"), ElementsAre(259));
  EXPECT_THAT(tokenizer->encode("hthe"), ElementsAre('h', 258));
  EXPECT_THAT(tokenizer->encode("é"), ElementsAre(0xC3, 0xA9));
}

TEST_F(TokenizerJson, IgnoreMergesTakesAWordThatIsAToken) {
  json["model"]["merges"] = {"t h", "h e"};
  EXPECT_THAT(load(json)->encode("the"), ElementsAre(256, 'e'));
  json["model"]["ignore_merges"] = true;
  EXPECT_THAT(load(json)->encode("the"), ElementsAre(258));
}

TEST_F(TokenizerJson, MergesMayBePairs) {
  for (Json& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
  }
  EXPECT_THAT(load(json)->encode("the fox"), ElementsAre(258, 262));
}

TEST_F(TokenizerJson, AddPrefixSpacePutsASpaceInFront) {
  json["pre_tokenizer"]["add_prefix_space"] = true;
  const auto tokenizer = load(json);
  EXPECT_THAT(tokenizer->encode("the"), ElementsAre(259));
  EXPECT_THAT(tokenizer->encode(" the"), ElementsAre(259));
  EXPECT_TRUE(tokenizer->adds_leading_space());
}

TEST_F(TokenizerJson, ATextSurvivesEncodingAndDecoding) {
  const auto tokenizer = load(json);
  for (const std::string text : {"the fox", "  naïve\n日本語 🦙\t", "<|bos|>", ""})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(tokenizer->decode({0xE2, 0x82, 'a', 263, 264}), "\uFFFDa");
  EXPECT_EQ(tokenizer->piece(259), "Ġthe");
  EXPECT_EQ(tokenizer->piece(263), "<|bos|>");
}

TEST_F(TokenizerJson, WhatSpellsAControlTokenIsOrdinaryText) {
  const auto tokenizer = load(json);
  EXPECT_THAT(tokenizer->encode("<|eos|>"), testing::Each(Lt(256)));
  EXPECT_EQ(tokenizer->find_control("<|eos|>"), 264);
  EXPECT_EQ(tokenizer->find_control("the"), std::nullopt);
}

TEST_F(TokenizerJson, AnIdBeyondTheVocabularyHasNoPieceAndNoText) {
  const auto tokenizer = load(json);
  EXPECT_EQ(tokenizer->vocab_size(), 265);
  EXPECT_THAT([&] { tokenizer->piece(265); }, refused("token id 265", "0 to 264"));
  EXPECT_THAT([&] { tokenizer->piece(-1); }, refused("token id -1"));
  EXPECT_EQ(tokenizer->decode({258, 265, -1, 262}), "the fox");
}

TEST_F(TokenizerJson, BosAndEosAreTheConfigurationsElseThePostProcessors) {
  EXPECT_EQ(load(json)->bos(), 263);
  EXPECT_EQ(load(json)->eos(), 264);
  folder.write("generation_config.json", R"({"bos_token_id": 264, "eos_token_id": [263, 264]})");
  EXPECT_EQ(load(json)->bos(), 264);
  EXPECT_EQ(load(json)->eos(), 263);
  folder.write("config.json", R"({"bos_token_id": 263, "eos_token_id": null})");
  EXPECT_EQ(load(json)->bos(), 263);
  EXPECT_EQ(load(json)->eos(), 263);
  folder.write("tokenizer_config.json", R"({"bos_token": "<|bos|>", "eos_token": {"content": "<|eos|>"}})");
  EXPECT_EQ(load(json)->eos(), 264);
}

TEST_F(TokenizerJson, BosAndEosThatAreNotThereAreAnError) {
  json["post_processor"] = nullptr;
  EXPECT_THAT(loading(json), refused("BOS", "bos_token"));
  folder.write("config.json", R"({"bos_token_id": 1000, "eos_token_id": 1})");
  EXPECT_THAT(loading(json), refused("BOS", "1000"));
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_THAT(loading(json), refused("tokenizer_config.json", "<s>"));
}

TEST_F(TokenizerJson, TokenizerModelComesFirst) {
  folder.write("tokenizer.json", json.dump());
  EXPECT_EQ(load_tokenizer(folder.path())->vocab_size(), 265);
  folder.write("tokenizer.model", tiktoken);
  EXPECT_EQ(load_tokenizer(folder.path())->vocab_size(), 263 + 256);
}

TEST_F(TokenizerJson, WhatIsNotUnderstoodIsNamed) {
  const auto with = [this](const char* pointer, const Json& value) {
    Json changed = json;
    changed[Json::json_pointer(pointer)] = value;
    return loading(changed);
  };
  EXPECT_THAT(with("/model/type", "Unigram"), refused("model", "\"Unigram\""));
  EXPECT_THAT(with("/model/type", "WordPiece"), refused("model", "\"WordPiece\""));
  EXPECT_THAT(with("/model/dropout", 0.1), refused("dropout"));
  EXPECT_THAT(with("/model/end_of_word_suffix", "</w>"), refused("end_of_word_suffix"));
  EXPECT_THAT(with("/model/colour", 1), refused("model", "\"colour\""));
  EXPECT_THAT(with("/colour", 1), refused("\"colour\""));
  EXPECT_THAT(with("/normalizer", {{"type", "NFC"}}), refused("normalizer", "\"NFC\""));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Whitespace"}}), refused("pre_tokenizer", "\"Whitespace\""));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Sequence"},
                                      {"pretokenizers",
                                       {{{"type", "Split"},
                                         {"pattern", {{"Regex", "a"}}},
                                         {"behavior", "Removed"},
                                         {"invert", false}}}}}),
              refused("pre_tokenizer.pretokenizers[0]", "\"Removed\""));
  EXPECT_THAT(
      with("/pre_tokenizer",
           {{"type", "Split"}, {"pattern", {{"Regex", "a("}}}, {"behavior", "Isolated"}, {"invert", false}}),
      refused("pre_tokenizer", "no regular expression"));
  EXPECT_THAT(with("/decoder", {{"type", "WordPiece"}}), refused("decoder", "\"WordPiece\""));
  EXPECT_THAT(with("/decoder", {{"type", "Fuse"}}), refused("decoder", "does not belong"));
  EXPECT_THAT(with("/decoder", nullptr), refused("decoder", "missing"));
  EXPECT_THAT(with("/post_processor", {{"type", "BertProcessing"}}),
              refused("post_processor", "BertProcessing"));
  EXPECT_THAT(with("/pre_tokenizer", nullptr), refused("decoder", "ByteLevel does not belong"));
  json["decoder"] = {{"type", "Fuse"}};
  EXPECT_THAT(with("/pre_tokenizer", nullptr), refused("byte_fallback"));
}

TEST_F(TokenizerJson, AddedTokensThatDoNotFitAreNamed) {
  Json changed = json;
  changed["added_tokens"][1]["id"] = 3;
  EXPECT_THAT(loading(changed), refused("the id 3 stands twice", "<|eos|>"));
  changed["added_tokens"][1]["content"] = "the";
  EXPECT_THAT(loading(changed), refused("\"the\" has the id 3", "258"));
  changed = json;
  changed["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "<tool>"}}}, {"content", ""}};
  changed["added_tokens"].push_back({{"id", 265}, {"content", "<tool>"}, {"normalized", true}});
  EXPECT_THAT(loading(changed), refused("\"<tool>\"", "nothing"));
}

TEST_F(TokenizerJson, AnAddedTokenMayBeOneOfTheVocabularyAndStaysSo) {
  json["added_tokens"].push_back({{"id", 258}, {"content", "the"}, {"single_word", true}});
  const auto tokenizer = load(json);
  EXPECT_THAT(tokenizer->encode("the"), ElementsAre(258));
  EXPECT_THAT(tokenizer->encode("thee"), ElementsAre(258, 'e'));  // by its merges
  EXPECT_EQ(tokenizer->decode({258}), "the");
}

TEST_F(TokenizerJson, AVocabularyThatDoesNotHoldTogetherIsNamed) {
  Json changed = json;
  changed["model"]["merges"].push_back("fo x");
  EXPECT_THAT(loading(changed), refused("merges[7]", "\"fox\""));
  changed["model"]["merges"].back() = "t h";
  EXPECT_THAT(loading(changed), refused("merges[7]", "second time"));
  changed["model"]["merges"].back() = "the";
  EXPECT_THAT(loading(changed), refused("merges[7]", "\"a b\""));
  changed = json;
  changed["model"]["vocab"]["th"] = 300;
  EXPECT_THAT(loading(changed), refused("no token has the id 256"));
  changed["model"]["vocab"]["th"] = 257;
  EXPECT_THAT(loading(changed), refused("the id 257 stands twice", "\"th\""));
  changed["model"]["vocab"]["th"] = -1;
  EXPECT_THAT(loading(changed), refused("\"th\"", "-1"));
  changed["model"]["vocab"]["th"] = 1e300;
  EXPECT_THAT(loading(changed), refused("\"th\""));
  changed = json;
  changed["model"]["vocab"]["日"] = 265;
  EXPECT_THAT(loading(changed), refused("\"日\"", "byte-level"));
  changed = json;
  changed["model"]["vocab"].erase("a");
  changed["model"]["vocab"]["aa"] = 'a';
  EXPECT_THAT(loading(changed), refused("byte 0x61"));
  changed["model"]["vocab"] = Json::object();
  EXPECT_THAT(loading(changed), refused("vocab", "empty"));
}

TEST_F(TokenizerJson, AFileThatIsNoneIsAnError) {
  const auto loading_text = [this](const char* text) {
    return [this, text] { load("tokenizer.json", text); };
  };
  EXPECT_THAT(loading_text("{\"model\": "), refused("tokenizer.json:1"));
  EXPECT_THAT(loading_text("hello"), refused("tokenizer.json:1"));
  EXPECT_THAT(loading_text("[]"), refused("expected an object"));
  EXPECT_THAT(loading_text("{}"), refused("model"));
  EXPECT_THAT(loading_text(""), refused("is empty"));
  EXPECT_THAT(loading_text("version https://git-lfs.github.com/spec/v1\n"), refused("git lfs pull"));
}

TEST_F(Tiktoken, MergesWhatIsATokenTogether) {
  const auto tokenizer = load("tokenizer.model", tiktoken);
  EXPECT_THAT(tokenizer->encode("the fox"), ElementsAre(258, 262));
  EXPECT_THAT(tokenizer->encode("hthe\n\n  the"), ElementsAre('h', 258, '\n', '\n', ' ', 259));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("naïve 日本語")), "naïve 日本語");
}

TEST_F(Tiktoken, Llama3sControlTokensFollowTheRanks) {
  const auto tokenizer = load("tokenizer.model", tiktoken);
  const TokenId first = 263;
  EXPECT_EQ(tokenizer->vocab_size(), first + 256);
  EXPECT_EQ(tokenizer->bos(), first);
  EXPECT_EQ(tokenizer->eos(), first + 1);
  EXPECT_EQ(tokenizer->find_control("<|start_header_id|>"), first + 6);
  EXPECT_EQ(tokenizer->find_control("<|eot_id|>"), first + 9);
  EXPECT_EQ(tokenizer->piece(first + 2), "<|reserved_special_token_0|>");
  EXPECT_EQ(tokenizer->piece(first + 5), "<|reserved_special_token_2|>");
  EXPECT_EQ(tokenizer->piece(first + 255), "<|reserved_special_token_247|>");
  EXPECT_THAT(PromptTemplate("llama3").stop_ids(*tokenizer), ElementsAre(first + 9));
  EXPECT_EQ(tokenizer->decode({first, 258, first + 9}), "the");
}

TEST_F(Tiktoken, TheFoldersFilesSayWhichTokensEndATextAndAddOthers) {
  folder.write("config.json", R"({"bos_token_id": 263, "eos_token_id": [272, 271]})");
  EXPECT_EQ(load("tokenizer.model", tiktoken)->eos(), 263 + 9);
  const std::string plain = load("tokenizer.model", tiktoken)->fingerprint();
  EXPECT_EQ(plain, load("tokenizer.model", tiktoken)->sha256());
  folder.write("tokenizer_config.json", R"({"eos_token": "<|im_end|>", "added_tokens_decoder": {
      "265": {"content": "<|im_start|>", "special": true}, "519": {"content": "<|im_end|>", "special": true},
      "520": {"content": "<tool>"}}})");
  const auto tokenizer = load("tokenizer.model", tiktoken);
  EXPECT_EQ(tokenizer->eos(), 519);
  EXPECT_EQ(tokenizer->bos(), 263);
  EXPECT_EQ(tokenizer->find_control("<|im_start|>"), 265);
  EXPECT_THAT(tokenizer->encode("<tool>the"), ElementsAre(520, 258));
  EXPECT_EQ(tokenizer->encode("<|im_end|>").size(), 10u);
  EXPECT_EQ(tokenizer->decode({258, 519, 520}), "the<tool>");
  EXPECT_NE(tokenizer->fingerprint(), plain);
  EXPECT_EQ(tokenizer->sha256(), plain);
}

TEST_F(Tiktoken, ADamagedFileIsNamedWithItsLine) {
  EXPECT_THAT(loading(tiktoken + "a*== 263\n"), refused("tokenizer.model:264", "\"a*==\" is not base64"));
  EXPECT_THAT(loading(tiktoken + "abc 263\n"), refused("not base64"));
  EXPECT_THAT(loading(tiktoken + "YWFh\n"), refused("tokenizer.model:264"));
  EXPECT_THAT(loading(tiktoken + "YWFh x\n"), refused("\"x\" is no rank"));
  EXPECT_THAT(loading(tiktoken + "YWFh 99999999999\n"), refused("no rank"));
  EXPECT_THAT(loading(tiktoken + "YWFh 3\n"), refused("rank 3 stands twice"));
  EXPECT_THAT(loading(tiktoken + "dGhl 263\n"), refused("token of rank 258 stands here again"));
  EXPECT_THAT(loading(tiktoken + "YWFh 264\n"), refused("no token has the rank 263"));
  EXPECT_THAT(loading(tiktoken.substr(tiktoken.find('\n') + 1)), refused("rank 0"));
  EXPECT_THAT(loading(std::string("YQ== 0\n")), refused("byte 0x00"));
}

TEST_F(BpeFile, ChangedBytesNeverEndTheProcess) {
  for (const auto& [name, content] : {std::pair<std::string, std::string>{"tokenizer.json", json.dump()},
                                      std::pair<std::string, std::string>{"tokenizer.model", tiktoken}}) {
    for (uint64_t stream = 0; stream < 400; ++stream) {
      Random random(0, stream);
      std::string changed = content;
      for (uint64_t changes = 1 + random.below(3); changes > 0; --changes)
        changed[random.below(changed.size())] = static_cast<char>(random.below(128));
      try {
        const auto tokenizer = load(name, changed);
        tokenizer->decode(tokenizer->encode("the fox  naïve\n 日本語 123"));
      } catch (const Error&) {  // nothing else may come out
      }
    }
  }
}

}  // namespace
}  // namespace excitor
