// Which tokens of an instruction are labels, and what length does to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

using test::load;
using test::loading_error;
using test::shown;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Labels : public testing::Test {
 protected:
  test::ScratchFolder folder;
  std::filesystem::path file =
      folder.write("data.json", R"([{"instruction": "abcd", "output": "xyz"}])");  // 9 tokens
  DataSettings settings = test::plain_settings();
};

TEST_F(Labels, AreTheAnswerAndEosOnly) {
  EXPECT_THAT(shown(*load(file, settings).dataset), ElementsAre("^abcd[xyz$]"));
}

TEST_F(Labels, AreAllButBosWithTrainOnInputs) {
  settings.train_on_inputs = true;
  EXPECT_THAT(shown(*load(file, settings).dataset), ElementsAre("^[abcdxyz$]"));
}

TEST_F(Labels, AreMarkedByPositionNotByTokenId) {
  // The answer's ids all occur in the prompt too.
  const auto same = folder.write("same.json", R"([{"instruction": "aaa", "output": "a"}])");
  EXPECT_THAT(shown(*load(same, settings).dataset), ElementsAre("^aaa[a$]"));
}

TEST_F(Labels, AreCountedAlike) {
  const auto loaded = load(file, settings);
  EXPECT_EQ(loaded.dataset->tokens(0), 9);
  EXPECT_EQ(loaded.dataset->labels(0), 4);
  EXPECT_EQ(loaded.dataset->example(0).labels(), 4);
  EXPECT_EQ(loaded.report.tokens, 9);
  EXPECT_EQ(loaded.report.label_tokens, 4);
  EXPECT_EQ(loaded.report.longest, 9);
  EXPECT_EQ(loaded.report.ending_in_eos, 1);
}

TEST_F(Labels, AnExampleOfExactlyTheLimitIsWhole) {
  settings.max_seq_length = 9;
  for (const auto mode : {LongExamples::truncate, LongExamples::drop, LongExamples::fail}) {
    settings.on_long_example = mode;
    EXPECT_THAT(shown(*load(file, settings).dataset), ElementsAre("^abcd[xyz$]"));
  }
}

TEST_F(Labels, TruncationCutsTheAnswerAndIsCounted) {
  settings.max_seq_length = 7;
  const auto loaded = load(file, settings);
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^abcd[xy]"));
  EXPECT_EQ(loaded.report.truncated, 1);
  EXPECT_EQ(loaded.report.ending_in_eos, 0);
}

TEST_F(Labels, RowsWithoutRoomForALabelAreLeftOutCountedAndNamed) {
  settings.max_seq_length = 5;
  const auto two = folder.write(
      "two.json", R"([{"instruction": "abcd", "output": "xyz"}, {"instruction": "a", "output": "b"}])");
  testing::internal::CaptureStderr();
  const auto loaded = load(two, settings);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("1 rows are left out"), HasSubstr("two.json[0]: the prompt alone has 5 tokens"),
                    HasSubstr("max_seq_length is 5")));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a[b$]"));
  EXPECT_EQ(loaded.report.prompt_too_long, 1);
  EXPECT_EQ(loaded.report.truncated, 0);
}

TEST_F(Labels, AFileOfWhichNoLabelIsLeftIsAnErrorWithTheCause) {
  settings.max_seq_length = 5;
  EXPECT_THAT(loading_error(file, settings),
              AllOf(HasSubstr("data.json: no example is left"), HasSubstr("1 prompts alone fill"),
                    HasSubstr("data.max_seq_length 5")));
}

TEST_F(Labels, TheLastOneIsLookedAtToSeeWhetherItIsEos) {
  const auto share = [&](const char* answer_end) {
    settings.prompt_template = {{"prompt_no_input", "{instruction}"}, {"answer_end", answer_end}};
    return load(file, settings).report.ending_in_eos;
  };
  EXPECT_EQ(share("{eos}"), 1);
  EXPECT_EQ(share("\n###"), 0);
  EXPECT_EQ(share("{eos}\n"), 0);
}

TEST_F(Labels, LongExamplesAreDroppedWhenToldSo) {
  settings.max_seq_length = 7;
  settings.on_long_example = LongExamples::drop;
  const auto two = folder.write(
      "two.json", R"([{"instruction": "abcd", "output": "xyz"}, {"instruction": "a", "output": "b"}])");
  const auto loaded = load(two, settings);
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a[b$]"));
  EXPECT_EQ(loaded.report.dropped, 1);
  EXPECT_EQ(loaded.report.examples, 1);
}

TEST_F(Labels, NothingLeftAfterDroppingIsAnError) {
  settings.max_seq_length = 7;
  settings.on_long_example = LongExamples::drop;
  EXPECT_THAT(loading_error(file, settings), HasSubstr("no example is left"));
}

TEST_F(Labels, LongExamplesAreErrorsWhenToldSo) {
  settings.max_seq_length = 7;
  settings.on_long_example = LongExamples::fail;
  EXPECT_THAT(loading_error(file, settings),
              AllOf(HasSubstr("data.json[0]: 9 tokens"), HasSubstr("data.max_seq_length 7")));
}

TEST(Example, KnowsWhetherItsLastLabelIsEos) {
  EXPECT_TRUE((Example{.ids = {1, 5, 2}, .supervised = {0, 1, 1}, .origin = ""}.last_label_is(2)));
  EXPECT_FALSE((Example{.ids = {1, 5, 2}, .supervised = {0, 1, 0}, .origin = ""}.last_label_is(2)));
  EXPECT_FALSE((Example{.ids = {1, 5}, .supervised = {0, 1}, .origin = ""}.last_label_is(2)));
  EXPECT_FALSE(Example{}.last_label_is(2));
}

TEST(Example, KnowsItsLastLabel) {
  EXPECT_EQ((Example{.ids = {1, 5, 2}, .supervised = {0, 1, 0}, .origin = ""}.last_label()), 5);
  EXPECT_EQ((Example{.ids = {1, 5}, .supervised = {0, 0}, .origin = ""}.last_label()), std::nullopt);
}

}  // namespace
}  // namespace excitor
