#include <gtest/gtest.h>

#include <excitor/util/command_words.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

using Words = std::vector<std::string>;

TEST(CommandWords, BlanksSeparateAndQuotesHoldTogether) {
  EXPECT_EQ(split_words("  prog  -a\tb\n"), (Words{"prog", "-a", "b"}));
  EXPECT_EQ(split_words(R"(a 'b c' "d e" f'g'"h")"), (Words{"a", "b c", "d e", "fgh"}));
  EXPECT_EQ(split_words(R"(a '' "")"), (Words{"a", "", ""}));
  EXPECT_EQ(split_words(""), Words{});
}

TEST(CommandWords, ABackslashTakesTheNextCharacterAsItIs) {
  EXPECT_EQ(split_words(R"(a\ b \' \")"), (Words{"a b", "'", "\""}));
  EXPECT_EQ(split_words(R"("a\"b" "a\\b" "a\nb" 'a\b')"), (Words{"a\"b", "a\\b", "a\\nb", "a\\b"}));
}

TEST(CommandWords, NothingIsExpanded) {
  EXPECT_EQ(split_words("$HOME * ~ `id` $(id) | > x"),
            (Words{"$HOME", "*", "~", "`id`", "$(id)", "|", ">", "x"}));
}

TEST(CommandWords, WhatHasNoEndIsRefused) {
  for (const char* command : {"a 'b", "a \"b", "a \\", "\"\\\""})
    EXPECT_THROW(split_words(command), UsageError);
}

}  // namespace
}  // namespace excitor
