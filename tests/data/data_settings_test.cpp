#include <excitor/data/data_settings.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> read(std::string_view text, DataSettings& settings) {
  Problems problems;
  read_settings(
      parse_json(text, "config.json"), [&](Describer& d) { settings.describe(d); }, {.path = "data"},
      problems);
  return problems.lines();
}

TEST(DataSettings, EveryKeyIsRead) {
  DataSettings settings;
  const auto problems = read(R"({"train": [{"path": "a.json", "format": "alpaca"}, {"path": "b.txt"}],
                                 "validation": [{"path": "c.txt", "format": "text"}], "val_size": 200,
                                 "prompt_template": "plain", "max_seq_length": 1024, "on_long_example": "drop",
                                 "packing": false, "train_on_inputs": true, "shuffle": false})",
                             settings);
  EXPECT_THAT(problems, IsEmpty());
  ASSERT_EQ(settings.train.size(), 2U);
  EXPECT_EQ(settings.train[0].path, "a.json");
  EXPECT_EQ(settings.train[0].format, "alpaca");
  EXPECT_EQ(settings.train[1].format, "auto");
  EXPECT_EQ(settings.validation.at(0).path, "c.txt");
  EXPECT_EQ(settings.val_size, 200);
  EXPECT_EQ(settings.prompt_template, "plain");
  EXPECT_EQ(settings.max_seq_length, 1024);
  EXPECT_EQ(settings.on_long_example, LongExamples::drop);
  EXPECT_FALSE(settings.packing);
  EXPECT_TRUE(settings.train_on_inputs);
  EXPECT_FALSE(settings.shuffle);
}

TEST(DataSettings, WhatIsWrittenReadsBackTheSame) {
  DataSettings settings;
  settings.train = {{.path = "a.json", .format = "alpaca"}};
  settings.on_long_example = LongExamples::fail;
  const auto written = write_settings([&](Describer& d) { settings.describe(d); });
  DataSettings again;
  EXPECT_THAT(read(written.dump(), again), IsEmpty());
  EXPECT_EQ(write_settings([&](Describer& d) { again.describe(d); }), written);
}

TEST(DataSettings, ImpossibleValuesAreNamedWithTheirPath) {
  DataSettings settings;
  EXPECT_THAT(read(R"({"val_size": -1, "max_seq_length": 1, "on_long_example": "cut",
                       "train": [{"path": "a", "format": "csv"}]})",
                   settings),
              UnorderedElementsAre(HasSubstr("data.val_size"), HasSubstr("data.max_seq_length"),
                                   HasSubstr("data.on_long_example"), HasSubstr("data.train[0].format")));
}

TEST(DataSettings, AFileIsAnObjectNotAName) {
  DataSettings settings;
  EXPECT_THAT(read(R"({"train": ["a.json"]})", settings), ElementsAre(HasSubstr("data.train[0]")));
}

}  // namespace
}  // namespace excitor
