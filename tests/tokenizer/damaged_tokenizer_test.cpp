#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/random.h>

#include "tokenizer/tiny_tokenizer.h"

namespace excitor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class DamagedTokenizer : public testing::Test {
 protected:
  auto loading(std::string_view content) {
    return [file = folder.write("tokenizer.model", content)] { load_tokenizer(file); };
  }
  auto loading_folder() {
    return [this] { load_tokenizer(folder.path()); };
  }

  test::ScratchFolder folder;
};

TEST_F(DamagedTokenizer, AMissingFolderIsNamed) {
  EXPECT_THAT([&] { load_tokenizer(folder.path() / "absent"); },
              ThrowsMessage<CheckpointError>(HasSubstr("absent")));
}

TEST_F(DamagedTokenizer, AnEmptyFolderSaysWhatWasLookedFor) {
  EXPECT_THAT(loading_folder(),
              ThrowsMessage<CheckpointError>(HasSubstr("tokenizer.model and tokenizer.json")));
}

TEST_F(DamagedTokenizer, AMetaDownloadKeepsItBesideTheFolder) {
  folder.write("tokenizer.model", test::train_llama_like_model());
  std::filesystem::create_directory(folder.path() / "7B");
  folder.write("7B/params.json", "{}");
  EXPECT_EQ(load_tokenizer(folder.path() / "7B")->bos(), 1);
  EXPECT_EQ(load_tokenizer(folder.path() / "7B/")->bos(), 1);
}

TEST_F(DamagedTokenizer, AnEmptyFileIsCalledEmpty) {
  EXPECT_THAT(loading(""), ThrowsMessage<CheckpointError>(HasSubstr("is empty")));
}

TEST_F(DamagedTokenizer, AGitLfsPointerSaysHowToGetTheFile) {
  EXPECT_THAT(loading("version https://git-lfs.github.com/spec/v1\noid sha256:9e55\nsize 499723\n"),
              ThrowsMessage<CheckpointError>(HasSubstr("git lfs pull")));
}

TEST_F(DamagedTokenizer, AWebPageIsRecognised) {
  EXPECT_THAT(loading("<!DOCTYPE html><html>404</html>"),
              ThrowsMessage<CheckpointError>(HasSubstr("web page")));
}

TEST_F(DamagedTokenizer, TextAndZerosAreNoModel) {
  EXPECT_THAT(loading("hello, this is no model"),
              ThrowsMessage<CheckpointError>(HasSubstr("tokenizer.model")));
  EXPECT_THAT(loading(std::string(1000, '\0')), ThrowsMessage<CheckpointError>(HasSubstr("damaged")));
}

TEST_F(DamagedTokenizer, AModelWithoutBosOrEosIsRefused) {
  EXPECT_THAT(loading(test::train_llama_like_model({{"bos_id", "-1"}})),
              ThrowsMessage<CheckpointError>(HasSubstr("no BOS")));
  EXPECT_THAT(loading(test::train_llama_like_model({{"eos_id", "-1"}})),
              ThrowsMessage<CheckpointError>(HasSubstr("no EOS")));
}

TEST_F(DamagedTokenizer, EveryTruncationIsNoticed) {
  const std::string model = test::train_llama_like_model();
  for (size_t size = 1; size < model.size(); size += size < model.size() - 200 ? 97 : 1) {
    EXPECT_THROW(loading(model.substr(0, size))(), CheckpointError)
        << "cut to " << size << " of " << model.size();
  }
}

TEST_F(DamagedTokenizer, FieldsThatSentencePieceIgnoresAreReadToo) {
  // A second trainer_spec (field 2, 2 bytes) that holds an empty group, which protobuf takes for an unknown
  // field.
  EXPECT_THAT(loading(test::train_llama_like_model() + "\x12\x02\x0B\x0C"),
              ThrowsMessage<CheckpointError>(HasSubstr("wire type")));
}

TEST_F(DamagedTokenizer, ANormalisationTableThatPointsOutsideItselfIsRefused) {
  const std::string model = test::train_llama_like_model({{"normalization_rule_name", "nmt_nfkc"}});
  loading(model)();
  // The table starts with its trie's first unit, which every walk reads; its high bits are an offset.
  const size_t charsmap =
      model.find("nmt_nfkc") + std::string("nmt_nfkc").size() + 4;  // tag and a 3-byte length
  for (const std::string_view unit :
       {"\xFF\xFF\xFF\x7F", "\xFF\xFF\xFF\xFF"}) {  // without and with the mark of a value
    std::string damaged = model;
    damaged.replace(charsmap + 4, 4, unit);
    EXPECT_THAT(loading(damaged), ThrowsMessage<CheckpointError>(HasSubstr("normalisation table")));
  }
}

/// Loads a model and, when that works, uses it. Only Errors may come out.
void load_and_use(const std::filesystem::path& file) {
  try {
    const auto tokenizer = load_tokenizer(file);
    const auto ids =
        tokenizer->encode(std::string("The red box\n\0 <s> naïve ﬁ Ⅷ ½ 日本語 🦙 Å", 44));
    tokenizer->decode(ids);
    tokenizer->decode({0, 1, 2, 3, 200, 258});
  } catch (const Error&) {
  }
}

/// `model` with one to four bytes changed.
std::string mutated(std::string model, uint64_t stream) {
  Random random(0, stream);
  for (uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
    model[random.below(model.size())] = static_cast<char>(random.next_u64());
  }
  return model;
}

TEST_F(DamagedTokenizer, ChangedBytesNeverEndTheProcess) {
  for (const std::string rule : {"identity", "nmt_nfkc"}) {
    for (const std::string type : {"bpe", "unigram"}) {
      const std::string model =
          test::train_llama_like_model({{"normalization_rule_name", rule}, {"model_type", type}});
      for (uint64_t i = 0; i < 400; ++i) load_and_use(folder.write("tokenizer.model", mutated(model, i)));
    }
  }
}

}  // namespace
}  // namespace excitor
