// What is read as Alpaca data, and what is said about files that are not.
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
using testing::Not;

class Alpaca : public testing::Test {
 protected:
  auto json(std::string_view content) { return folder.write("data.json", content); }
  auto jsonl(std::string_view content) { return folder.write("data.jsonl", content); }

  test::ScratchFolder folder;
};

TEST_F(Alpaca, AnArrayIsRead) {
  const auto file =
      json(R"([{"instruction": "a", "input": "", "output": "b"}, {"instruction": "c", "output": "d"}])");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]", "^c[d$]"));
}

TEST_F(Alpaca, JsonLinesAreRead) {
  const auto file =
      jsonl("{\"instruction\": \"a\", \"output\": \"b\"}\n{\"instruction\": \"c\", \"output\": \"d\"}\n");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]", "^c[d$]"));
}

TEST_F(Alpaca, TheContentDecidesBetweenArrayAndLinesNotTheName) {
  EXPECT_THAT(shown(*load(json("{\"instruction\": \"a\", \"output\": \"b\"}")).dataset),
              ElementsAre("^a[b$]"));
  EXPECT_THAT(shown(*load(jsonl("\n [{\"instruction\": \"a\", \"output\": \"b\"}]")).dataset),
              ElementsAre("^a[b$]"));
}

TEST_F(Alpaca, AByteOrderMarkBlankLinesAndWindowsLineEndsAreNoMatter) {
  const auto file = jsonl(
      "\xEF\xBB\xBF{\"instruction\": \"a\", \"output\": \"b\"}\r\n\r\n  \n{\"instruction\": \"c\", "
      "\"output\": \"d\"}");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]", "^c[d$]"));
  EXPECT_THAT(shown(*load(json("\xEF\xBB\xBF[{\"instruction\": \"a\", \"output\": \"b\"}]")).dataset),
              ElementsAre("^a[b$]"));
}

TEST_F(Alpaca, InputMayBeAbsentNullOrEmpty) {
  const auto file =
      json(R"([{"instruction": "a", "output": "b"}, {"instruction": "a", "input": null, "output": "b"},
                             {"instruction": "a", "input": "", "output": "b"}, {"instruction": "a", "input": "i", "output": "b"}])");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]", "^a[b$]", "^a[b$]", "^a\ni[b$]"));
}

TEST_F(Alpaca, OtherKeysAreIgnored) {
  const auto file = json(R"([{"id": 7, "text": "whole", "instruction": "a", "output": "b", "history": []}])");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^a[b$]"));
}

TEST_F(Alpaca, ThePromptIsRenderedByTheTemplate) {
  DataSettings settings;
  settings.prompt_template = "alpaca";
  const auto file = json(R"([{"instruction": "Name a colour.", "output": "Red."}])");
  EXPECT_EQ(shown(load(file, settings).dataset->example(0)),
            "^Below is an instruction that describes a task. Write a response that appropriately completes "
            "the request."
            "\n\n### Instruction:\nName a colour.\n\n### Response:[Red.$]");
}

TEST_F(Alpaca, AnExampleRemembersItsLineOrRow) {
  const auto lines =
      jsonl("{\"instruction\": \"a\", \"output\": \"b\"}\n\n{\"instruction\": \"c\", \"output\": \"d\"}\n");
  EXPECT_THAT(load(lines).dataset->example(1).origin, testing::EndsWith("data.jsonl:3"));
  const auto array = json(R"([{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}])");
  EXPECT_THAT(load(array).dataset->example(1).origin, testing::EndsWith("data.json[1]"));
}

TEST_F(Alpaca, ABrokenLineIsNamed) {
  const auto file = jsonl("{\"instruction\": \"a\", \"output\": \"b\"}\n{\"instruction\": \"c\", \n");
  EXPECT_THAT(loading_error(file), HasSubstr("data.jsonl:2"));
}

TEST_F(Alpaca, ABrokenArrayIsNamedWithTheLine) {
  EXPECT_THAT(loading_error(json("[\n{\"instruction\": \"a\", \"output\": \"b\"},\n{\"instruction\" }]")),
              HasSubstr("data.json:3"));
}

TEST_F(Alpaca, AMissingOrEmptyFieldIsNamed) {
  EXPECT_THAT(loading_error(json(R"([{"instruction": "a"}])")),
              AllOf(HasSubstr("data.json[0]"), HasSubstr("\"output\" is missing")));
  EXPECT_THAT(loading_error(json(R"([{"output": "a"}])")), HasSubstr("\"instruction\" is missing"));
  EXPECT_THAT(loading_error(json(R"([{"instruction": "", "output": "a"}])")),
              HasSubstr("\"instruction\" is empty"));
}

TEST_F(Alpaca, RowsWithAnEmptyAnswerAreLeftOutCountedAndNamed) {
  const auto file = jsonl(R"({"instruction": "a", "output": ""}
{"instruction": "b", "output": "c"}
{"instruction": "d", "output": " \n"})");
  testing::internal::CaptureStderr();
  const auto loaded = load(file);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("2 rows are left out"), HasSubstr("data.jsonl:1: \"output\" is empty"),
                    HasSubstr("data.jsonl:3: \"output\" is empty")));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^b[c$]"));
  EXPECT_EQ(loaded.report.empty, 2);
  EXPECT_EQ(loaded.report.json()["left_out"].size(), 2);
  EXPECT_THAT(loaded.report.text(), HasSubstr("2 rows left out as their text or answer is empty"));
}

TEST_F(Alpaca, TheFirstTenRowsLeftOutAreNamedAndAllAreCounted) {
  std::string content = "{\"instruction\": \"a\", \"output\": \"b\"}\n";
  for (int i = 0; i < 28; ++i) content += "{\"instruction\": \"a\", \"output\": \"\"}\n";
  testing::internal::CaptureStderr();
  EXPECT_EQ(load(jsonl(content)).report.empty, 28);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("28 rows are left out"), HasSubstr("data.jsonl:11:"),
                    Not(HasSubstr("data.jsonl:12:")), HasSubstr("18 more")));
}

TEST_F(Alpaca, AFileOfEmptyAnswersAloneIsAnError) {
  EXPECT_THAT(loading_error(json(R"([{"instruction": "a", "output": ""}])")),
              AllOf(HasSubstr("no examples"), HasSubstr("[0]: \"output\" is empty")));
}

TEST_F(Alpaca, ASystemMessageAndEarlierTurnsAreTrainedOn) {
  const auto file = json(
      R"([{"instruction": "c", "input": "i", "output": "d", "system": "s", "history": [["a", "b"]]},
          {"instruction": "c", "output": "d", "system": "", "history": []},
          {"instruction": "c", "output": "d", "system": null, "history": null}])");
  EXPECT_THAT(shown(*load(file).dataset), ElementsAre("^s\na[b$]\nc\ni[d$]", "^c[d$]", "^c[d$]"));
}

TEST_F(Alpaca, TheSystemMessageStandsForTheTemplatesOwn) {
  DataSettings settings;
  settings.prompt_template = "alpaca";
  const auto file = json(R"([{"instruction": "Name a colour.", "output": "Red.", "system": "Be brief."}])");
  EXPECT_EQ(shown(load(file, settings).dataset->example(0)),
            "^Be brief.\n\n### Instruction:\nName a colour.\n\n### Response:[Red.$]");
}

TEST_F(Alpaca, ASystemMessageWithoutAPlaceInTheTemplateIsNamed) {
  DataSettings settings;
  settings.prompt_template = {{"prompt_no_input", "{instruction}"}};
  EXPECT_THAT(loading_error(json(R"([{"instruction": "a", "output": "b", "system": "s"}])"), settings),
              AllOf(HasSubstr("data.json[0]"), HasSubstr("no place for a system message")));
}

TEST_F(Alpaca, AHistoryThatIsNoListOfPairsIsNamed) {
  for (const char* history : {R"("a")", R"([["a"]])", R"(["a", "b"])", R"([["a", null]])", R"({"a": "b"})"}) {
    const auto file = json(fmt::format(R"([{{"instruction": "a", "output": "b", "history": {}}}])", history));
    EXPECT_THAT(loading_error(file), AllOf(HasSubstr("data.json[0]"), HasSubstr("\"history\" must be")));
  }
}

TEST_F(Alpaca, AnEmptyAnswerInTheHistoryLeavesTheRowOut) {
  const auto loaded = load(json(
      R"([{"instruction": "c", "output": "d", "history": [["a", ""]]}, {"instruction": "e", "output": "f"}])"));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^e[f$]"));
  EXPECT_EQ(loaded.report.empty, 1);
}

TEST_F(Alpaca, DollysKeysAreKnown) {
  const auto file = jsonl(
      R"({"instruction": "a", "context": "c", "response": "b", "category": "open_qa"}
{"instruction": "a", "context": "", "response": "b"}
{"instruction": "a", "context": "", "response": ""})");
  const auto loaded = load(file);
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^a\nc[b$]", "^a[b$]"));
  EXPECT_EQ(loaded.report.empty, 1);
}

TEST_F(Alpaca, AFieldOfAnotherTypeIsNamedWithWhatWasFound) {
  EXPECT_THAT(loading_error(json(R"([{"instruction": 3, "output": "a"}])")),
              AllOf(HasSubstr("\"instruction\""), HasSubstr("3")));
  EXPECT_THAT(loading_error(json(R"([{"instruction": "a", "output": null}])")),
              AllOf(HasSubstr("\"output\""), HasSubstr("null")));
  EXPECT_THAT(loading_error(json(R"([{"instruction": "a", "input": [], "output": "b"}])")),
              HasSubstr("\"input\" must be a string"));
  EXPECT_THAT(loading_error(json(R"(["a"])")), HasSubstr("must be an object"));
}

TEST_F(Alpaca, TheFirstTwentyBadRowsAreNamedAndAllAreCounted) {
  std::string content;
  for (int i = 0; i < 50; ++i) content += "{\"instruction\": \"a\"}\n";
  EXPECT_THAT(loading_error(jsonl(content)), AllOf(HasSubstr("50 examples"), HasSubstr("data.jsonl:20:"),
                                                   Not(HasSubstr("data.jsonl:21:")), HasSubstr("30 more")));
}

TEST_F(Alpaca, BadRowsOfAllFilesAreReportedTogether) {
  const auto one = folder.write("one.json", R"([{"instruction": "a"}])");
  const auto two = folder.write("two.json", R"([{"output": "a"}])");
  try {
    load_dataset({{.path = one.string()}, {.path = two.string()}}, test::plain_settings(),
                 test::ByteTokenizer());
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("one.json[0]"), HasSubstr("two.json[0]")));
  }
}

TEST_F(Alpaca, OneObjectOverSeveralLinesIsToldThatAnArrayWasExpected) {
  EXPECT_THAT(loading_error(json("{\n  \"instruction\": \"a\",\n  \"output\": \"b\"\n}\n")),
              HasSubstr("expected an array"));
  EXPECT_THAT(loading_error(json("{ \"instruction\": \"a\",\n  \"output\": \"b\" }\n")),
              HasSubstr("expected an array"));
}

TEST_F(Alpaca, ABrokenFirstLineIsNotTakenForSuchAnObject) {
  const auto file = jsonl("{\"instruction\": \"a\", \n{\"instruction\": \"c\", \"output\": \"d\"}\n");
  EXPECT_THAT(loading_error(file), HasSubstr("data.jsonl:1"));
}

TEST_F(Alpaca, RowsOfOtherFormatsAreRecognised) {
  const auto error = [&](std::string_view row) {
    return loading_error(jsonl(row), test::plain_settings(), "alpaca");
  };
  EXPECT_THAT(error(R"({"conversations": []})"), AllOf(HasSubstr("data.jsonl:1"), HasSubstr("ShareGPT")));
  EXPECT_THAT(error(R"({"messages": []})"), HasSubstr("OpenAI"));
  EXPECT_THAT(error(R"({"text": "a"})"), HasSubstr("\"format\": \"text\""));
}

TEST_F(Alpaca, FilesWithoutExamplesAreErrors) {
  EXPECT_THAT(loading_error(json("")), HasSubstr("is empty"));
  EXPECT_THAT(loading_error(json(" \n")), HasSubstr("is empty"));
  EXPECT_THAT(loading_error(json("[]")), HasSubstr("no examples"));
  EXPECT_THAT(loading_error(json("instruction,output\n")), HasSubstr("neither a JSON array nor JSONL"));
}

TEST_F(Alpaca, BytesThatAreNotUtf8AreNamed) {
  EXPECT_THAT(
      loading_error(jsonl(
          "{\"instruction\": \"a\", \"output\": \"b\"}\n{\"instruction\": \"\xFF\", \"output\": \"b\"}\n")),
      HasSubstr("data.jsonl:2"));
}

}  // namespace
}  // namespace excitor
