#include <gmock/gmock.h>

#include <excitor/util/error.h>

#include "util/example_settings.h"

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct Result {
  ExampleSettings settings;
  std::vector<std::string> problems;
};

Result read(const std::string& text, ExampleSettings settings = {}) {
  const std::vector<std::string> known = list_paths([](Describer& d) { ExampleSettings{}.describe(d); });
  const ReadOptions options{.path = "", .spellings = &other_trainers_spellings(), .known_paths = &known};
  Problems problems;
  read_settings(
      parse_json(text, "run.json"), [&](Describer& d) { settings.describe(d); }, options, problems);
  return {std::move(settings), problems.lines()};
}

std::vector<std::string> problems_of(const std::string& text) {
  return read(text).problems;
}

TEST(ReadSettings, AbsentKeysKeepTheStructsDefaults) {
  const auto [settings, problems] = read("{}");
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(settings.train.micro_batch_size, 8);
  EXPECT_EQ(settings.train.learning_rate, 1e-3);
  EXPECT_THAT(settings.tasks, ElementsAre("perplexity"));
  EXPECT_FALSE(settings.vision.has_value());
}

TEST(ReadSettings, EveryKindOfFieldIsRead) {
  const auto [settings, problems] = read(R"({
    "data": {"train": [{"path": "a.json", "weight": 2}, {"path": "b.json"}], "max_seq_length": 256},
    "train": {"micro_batch_size": 4, "learning_rate": 0.01, "deterministic": false, "max_steps": 7,
              "resume": true, "min_learning_rate": 0, "note": "é", "lr_scheduler_type": "linear"},
    "vision": {"path": "tower"}, "devices": [0, 1], "tasks": [], "anything": {"x": [1]}, "output_dir": ""})");
  EXPECT_THAT(problems, IsEmpty());
  ASSERT_EQ(settings.data.train.size(), 2u);
  EXPECT_EQ(settings.data.train[0].path, "a.json");
  EXPECT_EQ(settings.data.train[0].weight, 2.0);  // an integer is a number
  EXPECT_EQ(settings.data.train[1].weight, 1.0);
  EXPECT_EQ(settings.data.max_seq_length, 256);
  EXPECT_FALSE(settings.train.deterministic);
  EXPECT_EQ(settings.train.max_steps, 7);
  EXPECT_EQ(settings.train.resume, true);
  EXPECT_EQ(settings.train.min_learning_rate, 0.0);
  EXPECT_EQ(settings.train.note, "é");
  EXPECT_EQ(settings.train.lr_scheduler_type, Schedule::linear);
  EXPECT_EQ(settings.vision->path, "tower");
  EXPECT_THAT(settings.devices, ElementsAre(0, 1));
  EXPECT_THAT(settings.tasks, IsEmpty());
  EXPECT_EQ(settings.anything.dump(), R"({"x":[1]})");
  EXPECT_EQ(settings.output_dir, "");
}

/// Settings with everything optional set.
ExampleSettings optional_ones_set() {
  ExampleSettings set;
  set.train.max_steps = 5;
  set.vision.emplace();
  return set;
}

TEST(ReadSettings, NullUnsetsWhatIsOptional) {
  const auto [settings, problems] =
      read(R"({"train": {"max_steps": null}, "vision": null})", optional_ones_set());
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_FALSE(settings.train.max_steps.has_value());
  EXPECT_FALSE(settings.vision.has_value());
}

TEST(ReadSettings, AnAbsentKeyKeepsWhatWasSet) {
  const auto [settings, problems] = read(R"({"train": {}})", optional_ones_set());
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(settings.train.max_steps, 5);
  EXPECT_TRUE(settings.vision.has_value());
}

TEST(ReadSettings, NullIsNoValueForWhatIsNotOptional) {
  EXPECT_THAT(
      problems_of(R"({"train": {"micro_batch_size": null}, "data": null, "tasks": null})"),
      UnorderedElementsAre(
          "train.micro_batch_size: expected an integer, found null (leave the key out to get the default)",
          "data: expected an object, found null",
          "tasks: expected a list, found null (leave the key out to get the default)"));
}

TEST(ReadSettings, NothingIsConvertedSilently) {
  EXPECT_THAT(
      problems_of(
          R"({"train": {"deterministic": 1, "resume": "true", "micro_batch_size": 2.5, "max_steps": 2.0,
                        "learning_rate": "1e-3", "warmup_ratio": true, "note": 3, "lr_scheduler_type": 1}})"),
      UnorderedElementsAre("train.deterministic: expected true or false, found the integer 1",
                           "train.resume: expected true or false, found the string \"true\"",
                           "train.micro_batch_size: expected an integer, found the number 2.5",
                           "train.max_steps: expected an integer, found the number 2.0",
                           "train.learning_rate: expected a number, found the string \"1e-3\"",
                           "train.warmup_ratio: expected a number, found true",
                           "train.note: expected a string, found the integer 3",
                           "train.lr_scheduler_type: expected a string, found the integer 1"));
}

TEST(ReadSettings, SectionsAndListsMustBeSuch) {
  EXPECT_THAT(
      problems_of(R"({"train": [], "data": {"train": {"path": "x"}}, "devices": 1, "tasks": ["a", 2]})"),
      UnorderedElementsAre("train: expected an object, found a list",
                           "data.train: expected a list, found an object",
                           "devices: expected a list, found the integer 1",
                           "tasks[1]: expected a string, found the integer 2"));
  EXPECT_THAT(problems_of("[]"), ElementsAre("expected an object, found a list"));
}

TEST(ReadSettings, NumbersOutOfRangeNameTheLimits) {
  EXPECT_THAT(problems_of(R"({"train": {"learning_rate": 3, "warmup_ratio": -0.5, "micro_batch_size": 0},
                              "data": {"train": [{"weight": 1}, {"weight": 0}]}, "devices": [0, -1]})"),
              UnorderedElementsAre("train.learning_rate: must be > 0 and <= 1, found 3",
                                   "train.warmup_ratio: must be >= 0 and <= 1, found -0.5",
                                   "train.micro_batch_size: must be >= 1, found 0",
                                   "data.train[1].weight: must be > 0, found 0",
                                   "devices[1]: must be >= 0, found -1"));
}

TEST(ReadSettings, AnIntegerBeyond64BitsIsTooLargeInsteadOfRounded) {
  for (const char* number :
       {"9223372036854775808", "18446744073709551616", "1000000000000000000000000000000"}) {
    const auto problems = problems_of(std::string(R"({"train": {"max_steps": )") + number + "}}");
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_THAT(problems[0], HasSubstr("integer too large: expected at most 9223372036854775807"));
  }
  EXPECT_EQ(read(R"({"train": {"max_steps": 9223372036854775807}})").settings.train.max_steps, INT64_MAX);
}

TEST(ReadSettings, AWordThatIsNotAllowedIsAnErrorWithTheNearestOne) {
  EXPECT_THAT(
      problems_of(R"({"train": {"lr_scheduler_type": "cosin"}})"),
      ElementsAre(
          "train.lr_scheduler_type: must be \"cosine\" or \"linear\", found the string \"cosin\"; did you "
          "mean \"cosine\"?"));
}

TEST(ReadSettings, AProblemLeavesTheValueAsItWas) {
  const auto [settings, problems] = read(R"({"train": {"micro_batch_size": 0, "lr_scheduler_type": "x"}})");
  EXPECT_EQ(problems.size(), 2u);
  EXPECT_EQ(settings.train.micro_batch_size, 8);
  EXPECT_EQ(settings.train.lr_scheduler_type, Schedule::cosine);
}

TEST(ReadSettings, ElementsOfADefaultListDoNotShowThrough) {
  ExampleSettings set;
  set.data.train = {{.path = "old", .weight = 5}};
  EXPECT_EQ(read(R"({"data": {"train": [{"path": "new"}]}})", set).settings.data.train[0].weight, 1.0);
}

TEST(ReadSettings, UnknownKeyOfAnotherTrainerIsTranslated) {
  EXPECT_THAT(
      problems_of(R"({"per_device_train_batch_size": 4, "LR": 1, "train": {"batch-size": 1, "max_steps": 1},
                              "data": {"cutoff_len": 5, "train": [{"image_folder": "x"}]}})"),
      UnorderedElementsAre("per_device_train_batch_size: unknown key; use train.micro_batch_size",
                           "LR: unknown key; use train.learning_rate",
                           "train.batch-size: unknown key; use train.micro_batch_size",
                           "data.cutoff_len: unknown key; use data.max_seq_length",
                           "data.train[0].image_folder: unknown key; use data.train[].images"));
}

TEST(ReadSettings, AKeyInTheWrongSectionIsSentToTheRightOne) {
  EXPECT_THAT(
      problems_of(R"({"learning_rate": 1, "train": {"max_seq_length": 5}, "data": {"path": "x"}})"),
      UnorderedElementsAre("learning_rate: unknown key here; did you mean train.learning_rate?",
                           "train.max_seq_length: unknown key here; did you mean data.max_seq_length?",
                           "data.path: unknown key here; did you mean data.train[].path or vision.path?"));
}

TEST(ReadSettings, AMisspeltKeyGetsTheNearestNameBesideIt) {
  EXPECT_THAT(
      problems_of(R"({"trian": {}, "train": {"learning_rat": 1, "Warmup_Ratio": 0.1}, "outputdir": "x"})"),
      UnorderedElementsAre("trian: unknown key; did you mean train?",
                           "outputdir: unknown key; did you mean output_dir?",
                           "train.learning_rat: unknown key; did you mean train.learning_rate?",
                           "train.Warmup_Ratio: unknown key; did you mean train.warmup_ratio?"));
}

TEST(ReadSettings, AKeyNobodyKnowsGetsTheListOfThoseThatAreKnown) {
  EXPECT_THAT(problems_of(R"({"vision": {"xyzzy": 1}})"),
              ElementsAre("vision.xyzzy: unknown key; known here: path"));
}

TEST(ReadSettings, WithoutOptionsUnknownKeysStillGetTheNearestName) {
  ExampleVision vision;
  Problems problems;
  read_settings(
      Json{{"pth", "x"}, {"lr", 1}}, [&](Describer& d) { vision.describe(d); }, {.path = "vision"}, problems);
  EXPECT_THAT(problems.lines(), ElementsAre("vision.pth: unknown key; did you mean vision.path?",
                                            "vision.lr: unknown key; known here: path"));
}

TEST(ReadSettings, TheKeyThatNamesASchemaIsAllowedAtTheTopOnly) {
  EXPECT_THAT(problems_of(R"({"$schema": "excitor.json"})"), IsEmpty());
  EXPECT_THAT(problems_of(R"({"train": {"$schema": "excitor.json"}})"),
              ElementsAre(testing::StartsWith("train.$schema: unknown key")));
}

TEST(Problems, AreReportedAtOnceAndEachOnce) {
  Problems problems;
  problems.throw_if_any("run.json");
  problems.add("a.b", "wrong");
  problems.add("a.b", "wrong");
  problems.add("", "worse");
  EXPECT_THAT([&] { problems.throw_if_any("run.json"); },
              testing::ThrowsMessage<ConfigError>("run.json: 2 problems\n  a.b: wrong\n  worse"));
}

TEST(NearestName, FindsTyposAndNothingFarther) {
  const std::vector<std::string> names{"learning_rate", "lr_scheduler_type", "seed", "r"};
  EXPECT_EQ(nearest_name("learning_rte", names), "learning_rate");
  EXPECT_EQ(nearest_name("laerning_rate", names), "learning_rate");
  EXPECT_EQ(nearest_name("sede", names), "seed");
  EXPECT_EQ(nearest_name("x", names), "");
  EXPECT_EQ(nearest_name("temperature", names), "");
  EXPECT_EQ(nearest_name("seed", {}), "");
}

TEST(OtherTrainersSpellings, AreNormalisedAndNeverOneOfOurOwnPaths) {
  for (const auto& [theirs, ours] : other_trainers_spellings()) {
    EXPECT_THAT(theirs, testing::Not(testing::ContainsRegex("[A-Z -]"))) << theirs;
    EXPECT_NE(theirs, ours);
  }
}

TEST(OtherTrainersSpellings, KnowTheKeysUsersBringMost) {
  const Spellings& spellings = other_trainers_spellings();
  EXPECT_EQ(spellings.at("per_device_train_batch_size"), "train.micro_batch_size");  // Hugging Face
  EXPECT_EQ(spellings.at("num_train_epochs"), "train.epochs");
  EXPECT_EQ(spellings.at("cutoff_len"), "data.max_seq_length");  // LLaMA-Factory
  EXPECT_EQ(spellings.at("lora_rank"), "method.r");
  EXPECT_EQ(spellings.at("sequence_len"), "data.max_seq_length");  // Axolotl
  EXPECT_EQ(spellings.at("base_model"), "model.path");
  EXPECT_EQ(spellings.at("checkpoint_dir"), "model.path");        // litgpt
  EXPECT_EQ(spellings.at("max_seq_len"), "data.max_seq_length");  // torchtune
  EXPECT_EQ(spellings.at("peft_type"), "method.type");            // PEFT
}

}  // namespace
}  // namespace excitor
