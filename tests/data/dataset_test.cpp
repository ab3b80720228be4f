// Datasets as wholes: files joined, order, splitting, speed's side effects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

using test::loading_error;
using test::shown;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class DatasetFiles : public testing::Test {
 protected:
  test::ScratchFolder folder;
};

TEST_F(DatasetFiles, AreJoinedInTheirOrder) {
  const auto one = folder.write("one.json", R"([{"instruction": "a", "output": "b"}])");
  const auto two = folder.write("two.txt", "text");
  const auto loaded = load_dataset({{.path = two.string()}, {.path = one.string()}}, test::plain_settings(),
                                   test::ByteTokenizer());
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^[text$]", "^a[b$]"));
}

TEST_F(DatasetFiles, KeepTheirOrderThoughThreadsTokeniseThem) {
  std::string content;
  for (int i = 0; i < 5000; ++i)
    content +=
        fmt::format("{{\"instruction\": \"n{}\", \"output\": \"{}\"}}\n", i, std::string(1 + i % 7, 'x'));
  const auto dataset = test::load(folder.write("many.jsonl", content)).dataset;
  ASSERT_EQ(dataset->size(), 5000);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(shown(dataset->example(i)), fmt::format("^n{}[{}$]", i, std::string(1 + i % 7, 'x')));
    ASSERT_THAT(dataset->example(i).origin, testing::EndsWith(fmt::format("many.jsonl:{}", i + 1)));
  }
}

/// Fails as a machine does, not as data does.
class BrokenTokenizer final : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view) const override { throw std::bad_alloc(); }
  std::string decode(const std::vector<TokenId>&) const override { return ""; }
  std::string piece(TokenId) const override { return ""; }
  std::optional<TokenId> find_control(std::string_view) const override { return std::nullopt; }
  bool adds_leading_space() const override { return false; }
  int64_t vocab_size() const override { return 3; }
  TokenId bos() const override { return 1; }
  TokenId eos() const override { return 2; }
};

TEST_F(DatasetFiles, AnExceptionOfAThreadReachesTheCaller) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += "text\n\n";
  const auto file = folder.write("many.txt", content);
  EXPECT_THROW(load_dataset({{.path = file.string()}}, test::plain_settings(), BrokenTokenizer()),
               std::bad_alloc);
}

TEST_F(DatasetFiles, ThatDoNotExistAreConfigurationErrors) {
  EXPECT_THAT(loading_error<ConfigError>(folder.path() / "absent.json"),
              HasSubstr("absent.json does not exist"));
  EXPECT_THAT(loading_error<ConfigError>(folder.path()), HasSubstr("is a folder"));
}

TEST_F(DatasetFiles, OfAnUnknownKindAskForTheFormat) {
  EXPECT_THAT(loading_error<ConfigError>(folder.write("data.csv", "a,b")), HasSubstr("set \"format\""));
}

TEST_F(DatasetFiles, NoneNamedIsAConfigurationError) {
  EXPECT_THROW(load_dataset({}, test::plain_settings(), test::ByteTokenizer()), ConfigError);
}

std::unique_ptr<Dataset> lengths(std::vector<int64_t> values) {
  return std::make_unique<test::Lengths>(std::move(values));
}

TEST(SplitDataset, HoldsBackTheLastExamples) {
  const auto [train, validation] = split_dataset(lengths({10, 20, 30, 40, 50}), 2);
  EXPECT_EQ(train->size(), 3);
  EXPECT_EQ(train->tokens(2), 30);
  EXPECT_EQ(validation->size(), 2);
  EXPECT_EQ(validation->tokens(0), 40);
  EXPECT_EQ(validation->labels(1), 49);
  EXPECT_THROW(train->tokens(3), std::out_of_range);
}

TEST(SplitDataset, ByZeroGivesAnEmptySecondPart) {
  const auto [train, validation] = split_dataset(lengths({10, 20}), 0);
  EXPECT_EQ(train->size(), 2);
  EXPECT_EQ(validation->size(), 0);
}

TEST(SplitDataset, ThatLeavesNothingToTrainOnIsAConfigurationError) {
  EXPECT_THAT(
      [] {
        split_dataset(lengths({10, 20}), 2);
      },
      ThrowsMessage<ConfigError>(AllOf(HasSubstr("val_size 2"), HasSubstr("2 examples"))));
}

TEST(RealAlpaca, IsReadWithLlamasTokenizer) {
  const auto data = test::find_shared_file("data/alpaca_800.json");
  const auto model = test::find_shared_file("data/llama_tokenizer.model");
  if (!data || !model) GTEST_SKIP() << "alpaca_800.json or llama_tokenizer.model is not in the shared folder";
  DataSettings settings;
  settings.max_seq_length = 4096;
  const auto tokenizer = load_tokenizer(*model);
  const auto loaded = load_dataset({{.path = data->string()}}, settings, *tokenizer);
  EXPECT_EQ(loaded.report.examples, 800);
  EXPECT_EQ(loaded.report.ending_in_eos, 800);
  EXPECT_EQ(loaded.dataset->example(0).ids.front(), tokenizer->bos());
  EXPECT_THAT(tokenizer->decode(loaded.dataset->example(0).ids),
              HasSubstr("Describe a process of making crepes."));
}

}  // namespace
}  // namespace excitor
