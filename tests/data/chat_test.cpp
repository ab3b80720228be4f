// What is read as ShareGPT and OpenAI conversations, and what is said about rows that are not.
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
using testing::EndsWith;
using testing::HasSubstr;

class Chats : public testing::Test {
 protected:
  auto jsonl(std::string_view content) { return folder.write("data.jsonl", content); }
  std::string error(std::string_view content) { return loading_error(jsonl(content)); }

  test::ScratchFolder folder;
};

class ShareGpt : public Chats {};
class OpenAi : public Chats {};

TEST_F(ShareGpt, EveryAnswerIsSupervisedWithItsEnd) {
  const auto file = jsonl(
      R"({"id": "1", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]})");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]\nc[d$]"));
}

TEST_F(ShareGpt, UserAndAssistantAreNamesOfTheRolesToo) {
  const auto file =
      jsonl(R"({"conversations": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]})");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]"));
}

TEST_F(ShareGpt, ASystemMessageStandsFirstOrUnderItsKey) {
  const auto file = jsonl(
      R"({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
{"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
{"system": "", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^s\na[b$]", "^s\na[b$]", "^a[b$]"));
}

TEST_F(ShareGpt, WhatNoAnswerIsLearntFromIsLeftOutAndCounted) {
  const auto loaded = load(jsonl(
      R"({"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "y"}]}
{"conversations": [{"from": "human", "value": "a"}]}
{"conversations": []})"));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a[b$]"));
  EXPECT_EQ(loaded.report.leading_answers, 1);
  EXPECT_EQ(loaded.report.trailing_questions, 1);
  EXPECT_EQ(loaded.report.without_answer, 2);
  EXPECT_THAT(loaded.report.text(), AllOf(HasSubstr("1 answers before the first question left out"),
                                          HasSubstr("2 conversations without an answer left out")));
}

TEST_F(ShareGpt, RolesThatDoNotTakeTurnsAreNamed) {
  EXPECT_THAT(
      error(
          R"({"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}, {"from": "gpt", "value": "c"}]})"),
      AllOf(HasSubstr("data.jsonl:1: message 2"), HasSubstr("expected the assistant's")));
}

TEST_F(ShareGpt, OtherRolesAreNamed) {
  const std::string good =
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})";
  const std::string bad =
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "b"}]})";
  EXPECT_THAT(error(good + "\n" + bad),
              AllOf(HasSubstr("data.jsonl:2: message 2"), HasSubstr("\"function_call\""), HasSubstr("gpt")));
}

TEST_F(ShareGpt, WrongTypesAreNamed) {
  EXPECT_THAT(error(R"({"conversations": "a"})"), HasSubstr("must be a list of messages"));
  EXPECT_THAT(error(R"({"conversations": ["a"]})"), HasSubstr("message 1: expected an object"));
  EXPECT_THAT(error(R"({"conversations": [{"from": "human"}]})"), HasSubstr("\"value\" is missing"));
  EXPECT_THAT(error(R"({"conversations": [{"from": "human", "value": 3}]})"), HasSubstr("must be a string"));
  EXPECT_THAT(error(R"({"conversations": [{"from": "human", "value": " "}, {"from": "gpt", "value": "b"}]})"),
              HasSubstr("message 1: its text is empty"));
}

TEST_F(ShareGpt, AConversationWithAnEmptyAnswerIsLeftOutAndCounted) {
  const auto loaded = load(jsonl(
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}, {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}
{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})"));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a[b$]"));
  EXPECT_EQ(loaded.report.empty, 1);
  EXPECT_THAT(loaded.report.left_out.front().text(), EndsWith("data.jsonl:1: an answer is empty"));
}

TEST_F(ShareGpt, OtherAssistantsAndCapitalLettersAreNoMatter) {
  for (const char* answering : {"chatgpt", "bing", "bard", "GPT", "Assistant"}) {
    const auto file = jsonl(fmt::format(
        R"({{"conversations": [{{"from": "Human", "value": "a"}}, {{"from": "{}", "value": "b"}}]}})",
        answering));
    EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]")) << answering;
  }
}

TEST_F(ShareGpt, MessagesMayHaveRoleAndContent) {
  const auto file = jsonl(
      R"({"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]"));
}

class UntrainedAnswers : public Chats {
 protected:
  /// Two turns, of which the first answer has `key`: `value`, in both formats.
  std::vector<std::string> files_with(const std::string& pair) {
    return {
        fmt::format(
            R"({{"conversations": [{{"from": "human", "value": "a"}}, {{"from": "gpt", "value": "b", {}}}, {{"from": "human", "value": "c"}}, {{"from": "gpt", "value": "d"}}]}})",
            pair),
        fmt::format(
            R"({{"messages": [{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b", {}}}, {{"role": "user", "content": "c"}}, {{"role": "assistant", "content": "d"}}]}})",
            pair)};
  }
};

TEST_F(UntrainedAnswers, HaveNoLabels) {
  for (const char* pair : {R"("weight": 0)", R"("weight": 0.0)", R"("train": false)"}) {
    for (const std::string& row : files_with(pair))
      EXPECT_THAT(shown(*load(jsonl(row)).dataset), ElementsAre("^ab$\nc[d$]")) << row;
  }
}

TEST_F(UntrainedAnswers, HaveNoLabelsWithTrainOnInputsEither) {
  DataSettings settings = test::plain_settings();
  settings.train_on_inputs = true;
  EXPECT_THAT(shown(*load(jsonl(files_with(R"("weight": 0)").front()), settings).dataset),
              ElementsAre("^[a]b$[\ncd$]"));
}

TEST_F(UntrainedAnswers, AreToldFromTrainedOnesByOtherValues) {
  for (const char* pair : {R"("weight": 1)", R"("weight": 1.0)", R"("weight": null)", R"("train": true)"}) {
    for (const std::string& row : files_with(pair))
      EXPECT_THAT(shown(*load(jsonl(row)).dataset), ElementsAre("^a[b$]\nc[d$]")) << row;
  }
}

TEST_F(UntrainedAnswers, AreSaidInNoOtherWay) {
  for (const char* pair : {R"("weight": 0.5)", R"("weight": "0")", R"("train": 0)", R"("weight": true)"}) {
    for (const std::string& row : files_with(pair))
      EXPECT_THAT(error(row), AllOf(HasSubstr("data.jsonl:1: message 2"), HasSubstr("must be"))) << row;
  }
  EXPECT_THAT(
      error(
          R"({"messages": [{"role": "user", "content": "a", "train": true}, {"role": "assistant", "content": "b"}]})"),
      HasSubstr("train_on_inputs"));
}

TEST_F(UntrainedAnswers, LeaveNothingToLearnWhereTheyAreAlone) {
  const auto loaded = load(jsonl(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]}
{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a[b$]"));
  EXPECT_EQ(loaded.report.without_answer, 1);
}

TEST_F(ShareGpt, AFileWithoutAnyAnswerIsAnError) {
  EXPECT_THAT(error(R"({"conversations": [{"from": "human", "value": "a"}]})"),
              HasSubstr("no conversation holds an answer"));
}

TEST_F(OpenAi, ContentIsAStringOrPartsOfText) {
  const auto file = jsonl(
      R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "assistant", "content": "c"}]})");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^s\nab[c$]"));
}

TEST_F(OpenAi, AnExampleRemembersItsLine) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  EXPECT_THAT(load(jsonl(row + "\n\n" + row)).dataset->example(1).origin, EndsWith("data.jsonl:3"));
}

TEST_F(OpenAi, WhatIsNotTrainedOnIsRefusedByName) {
  EXPECT_THAT(
      error(
          R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, {"role": "assistant", "content": "b"}]})"),
      AllOf(HasSubstr("data.jsonl:1: message 1"), HasSubstr("\"image_url\"")));
  EXPECT_THAT(error(R"({"messages": [{"role": "tool", "content": "a"}]})"), HasSubstr("\"tool\""));
  EXPECT_THAT(error(R"({"messages": [{"role": "function", "content": "a"}]})"), HasSubstr("\"function\""));
  EXPECT_THAT(
      error(
          R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [{}]}]})"),
      HasSubstr("\"tool_calls\""));
  EXPECT_THAT(error(R"({"tools": [{}], "messages": []})"), HasSubstr("\"tools\""));
}

TEST_F(Chats, TheFormatIsToldFromTheFirstRow) {
  EXPECT_EQ(
      load(
          jsonl(R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"))
          .files.front()
          .format,
      "openai");
  EXPECT_EQ(load(jsonl(R"({"text": "a"})")).files.front().format, "text");
  EXPECT_EQ(load(jsonl(R"({"text": "a", "instruction": "a", "output": "b"})")).files.front().format,
            "alpaca");
}

TEST_F(Chats, KeysThatTellNoFormatAreListed) {
  EXPECT_THAT(error(R"({"question": "a", "answer": "b"})"),
              AllOf(HasSubstr("data.jsonl:1"), HasSubstr("question, answer"), HasSubstr("conversations")));
}

TEST_F(Chats, RowsOfTwoFormatsInOneFileAreAnError) {
  EXPECT_THAT(error("{\"text\": \"a\"}\n{\"instruction\": \"a\", \"output\": \"b\"}\n"),
              AllOf(HasSubstr("data.jsonl:2: this is an Alpaca row"), HasSubstr("split it")));
  EXPECT_THAT(error("{\"instruction\": \"a\", \"output\": \"b\"}\n{\"messages\": []}\n"),
              HasSubstr("data.jsonl:2: this is an OpenAI chat row"));
}

}  // namespace
}  // namespace excitor
