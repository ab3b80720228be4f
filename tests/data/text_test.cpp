// What is read as plain text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

using test::load;
using test::loading_error;
using test::shown;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

class Text : public testing::Test {
 protected:
  auto txt(std::string_view content) { return folder.write("data.txt", content); }
  auto jsonl(std::string_view content) { return folder.write("data.jsonl", content); }
  DataSettings settings_with(int64_t max_seq_length, LongExamples on_long_example = LongExamples::truncate) {
    DataSettings settings;
    settings.max_seq_length = max_seq_length;
    settings.on_long_example = on_long_example;
    return settings;
  }

  test::ScratchFolder folder;
};

TEST_F(Text, ADocumentIsABlockBetweenBlankLines) {
  EXPECT_THAT(shown(*load(txt("\none\ntwo\n\n \t\nthree\n")).dataset),
              ElementsAre("^[one\ntwo$]", "^[three$]"));
}

TEST_F(Text, WindowsLineEndsAndAByteOrderMarkAreNoMatter) {
  EXPECT_THAT(shown(*load(txt("\xEF\xBB\xBFone\r\ntwo\r\n\r\nthree")).dataset),
              ElementsAre("^[one\ntwo$]", "^[three$]"));
}

TEST_F(Text, ADocumentRemembersItsFirstLine) {
  EXPECT_THAT(load(txt("\none\ntwo\n\n\nthree\n")).dataset->example(1).origin, EndsWith("data.txt:6"));
}

TEST_F(Text, InJsonLinesADocumentIsARow) {
  const auto file = jsonl("{\"text\": \"one\\n\\ntwo\"}\n{\"text\": \"three\", \"id\": 1}\n");
  EXPECT_THAT(shown(*load(file, test::plain_settings(), "text").dataset),
              ElementsAre("^[one\n\ntwo$]", "^[three$]"));
}

TEST_F(Text, RowsWithoutTextAreLeftOutAndCounted) {
  const auto loaded = load(jsonl("{\"text\": \"\"}\n{\"text\": \"one\"}\n{\"text\": \" \\n\"}\n"),
                           test::plain_settings(), "text");
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^[one$]"));
  EXPECT_EQ(loaded.report.empty, 2);
}

TEST_F(Text, ARowWithoutTheKeyIsAnError) {
  EXPECT_THAT(loading_error(jsonl("{\"txt\": \"a\"}\n"), test::plain_settings(), "text"),
              HasSubstr("data.jsonl:1: \"text\" is missing"));
  EXPECT_THAT(loading_error(jsonl("{\"text\": 1}\n"), test::plain_settings(), "text"),
              HasSubstr("\"text\" must be a string"));
}

TEST_F(Text, ThePromptTemplateIsNotApplied) {
  DataSettings settings;
  settings.prompt_template = "alpaca";
  EXPECT_THAT(shown(*load(txt("one"), settings).dataset), ElementsAre("^[one$]"));
}

TEST_F(Text, ALongDocumentContinuesInTheNextWindow) {
  const auto loaded = load(txt("abcdefgh"), settings_with(4));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^[abc]", "^[def]", "^[gh$]"));
  EXPECT_EQ(loaded.report.continued, 1);
  EXPECT_EQ(loaded.report.truncated, 0);
  EXPECT_EQ(loaded.report.ending_in_eos, 1);
}

TEST_F(Text, ADocumentThatFitsExactlyIsOneWindow) {
  EXPECT_THAT(shown(*load(txt("ab"), settings_with(4)).dataset), ElementsAre("^[ab$]"));
}

TEST_F(Text, TheLastWindowMayHoldEosAlone) {
  EXPECT_THAT(shown(*load(txt("abc"), settings_with(4)).dataset), ElementsAre("^[abc]", "^[$]"));
}

TEST_F(Text, LongDocumentsAreDroppedWhenToldSo) {
  const auto loaded = load(txt("abcdefgh\n\nab"), settings_with(4, LongExamples::drop));
  EXPECT_THAT(shown(*loaded.dataset), ElementsAre("^[ab$]"));
  EXPECT_EQ(loaded.report.dropped, 1);
}

TEST_F(Text, LongDocumentsAreErrorsWhenToldSo) {
  EXPECT_THAT(loading_error(txt("ab\n\nabcdefgh"), settings_with(4, LongExamples::fail)),
              HasSubstr("data.txt:3: 10 tokens"));
}

TEST_F(Text, BytesThatAreNotUtf8AreNamedWithTheDocument) {
  EXPECT_THAT(loading_error(txt("ab\n\nc\xFFz")), HasSubstr("data.txt:3: not UTF-8"));
}

TEST_F(Text, AFileOfBlankLinesHasNoExamples) {
  EXPECT_THAT(loading_error(txt("\n \n")), HasSubstr("no examples"));
}

}  // namespace
}  // namespace excitor
