// Rows of arrays that are read element by element.
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

class JsonArrayOfRows : public testing::Test {
 protected:
  auto json(std::string_view content) { return folder.write("data.json", content); }
  std::string error(std::string_view content) {
    return loading_error(json(content), test::plain_settings(), "text");
  }

  test::ScratchFolder folder;
};

TEST_F(JsonArrayOfRows, BracketsQuotesAndEscapesInsideStringsEndNothing) {
  const auto file = json(R"( [ {"text": "]},\"{["} ,{"text":"\\"},{"x": [[{}], "]"], "text": "é"}] )");
  EXPECT_THAT(shown(load(file).dataset->example(0)), "^[]},\"{[$]");
  EXPECT_THAT(shown(load(file).dataset->example(1)), "^[\\$]");
  EXPECT_EQ(load(file).dataset->size(), 3);
}

TEST_F(JsonArrayOfRows, AreReadAcrossTheBuffersEnd) {
  std::string content = "[";
  for (int i = 0; i < 30000; ++i)
    content += fmt::format("{}{{\"text\": \"row {}\"}}", i == 0 ? "" : ",\n", i);
  const auto loaded = load(json(content + "]"));
  ASSERT_EQ(loaded.dataset->size(), 30000);
  EXPECT_EQ(shown(loaded.dataset->example(29999)), "^[row 29999$]");
  EXPECT_THAT(loaded.dataset->example(29999).origin, testing::EndsWith("data.json[29999]"));
}

TEST_F(JsonArrayOfRows, WhatDoesNotBelongBetweenThemIsNamedWithItsPlace) {
  EXPECT_THAT(error("[{\"text\": \"a\"}\n {\"text\": \"b\"}]"),
              HasSubstr("data.json:2:2: unexpected byte '{'"));
  EXPECT_THAT(error("[{\"text\": \"a\"},]"),
              HasSubstr("data.json:1:16: unexpected byte ']'; expected a row"));
  EXPECT_THAT(error("[{\"text\": \"a\"}] x"), HasSubstr("data.json:1:17"));
  EXPECT_THAT(error("[{\"text\": \"a\"}"), HasSubstr("ends too early"));
  EXPECT_THAT(error("[{\"text\": \"a\"},"), HasSubstr("ends too early"));
}

TEST_F(JsonArrayOfRows, AFaultInsideARowIsNamedWithLineAndColumn) {
  EXPECT_THAT(error("[{\"text\": \"a\"}, {\"text\": nul}]"), HasSubstr("data.json:1:26"));
  EXPECT_THAT(error("[\n  {\"text\": \"a\n\"}]"), AllOf(HasSubstr("data.json:2:"), HasSubstr("quote")));
  EXPECT_THAT(error("[{\"text\": \"a\", \"text\": \"b\"}]"), HasSubstr("stands twice"));
  EXPECT_THAT(error("[{\"text\": \"a\"}, {\"text\": \"b\"]"), HasSubstr("expected ',' or '}'"));
}

TEST_F(JsonArrayOfRows, FarToTheRightColumnsCountFromTheRow) {
  EXPECT_THAT(error("[{\"text\": \"" + std::string(20000, 'a') + "\"}, {\"text\": nul}]"),
              AllOf(HasSubstr("data.json[1], columns counted from the row"), HasSubstr("data.json:1:10")));
}

}  // namespace
}  // namespace excitor
