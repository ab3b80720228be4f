#include <string>

#include <gtest/gtest.h>

#include <excitor/util/utf8.h>

namespace excitor {
namespace {

constexpr size_t kAllValid = std::string_view::npos;

std::string encode(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

TEST(Utf8, EveryUnicodeScalarValueIsValidAndEverySurrogateIsNot) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    const bool is_surrogate = 0xD800 <= c && c <= 0xDFFF;
    ASSERT_EQ(find_invalid_utf8(encode(c)), is_surrogate ? 0 : kAllValid)
        << "U+" << std::hex << static_cast<int>(c);
  }
}

TEST(Utf8, OverlongFormsAreInvalid) {
  EXPECT_EQ(find_invalid_utf8("\xC0\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xC1\xBF"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xE0\x9F\xBF"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xF0\x8F\xBF\xBF"), 0u);
}

TEST(Utf8, WhatLiesBeyondUnicodeIsInvalid) {
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xF5\x80\x80\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xFF"), 0u);
}

TEST(Utf8, TheOffsetIsTheBeginningOfTheBadSequence) {
  EXPECT_EQ(find_invalid_utf8("only ASCII, longer than one word of eight bytes"), kAllValid);
  EXPECT_EQ(find_invalid_utf8("12345678 gr\xC3\xBC\xC3\x9F \xE2\x82"), 16u);
  EXPECT_EQ(find_invalid_utf8("a\x80"), 1u);
  EXPECT_EQ(find_invalid_utf8("ab\xE2\x28\xA1"), 2u);
  EXPECT_EQ(find_invalid_utf8(""), kAllValid);
}

TEST(Utf8, APrefixStopsBeforeAnUnfinishedCharacter) {
  for (const char32_t c : {U'ü', U'€', U'😀'}) {
    const std::string whole = "ab" + encode(c);
    for (size_t length = 3; length < whole.size(); ++length) {
      EXPECT_EQ(complete_utf8_prefix(std::string_view(whole).substr(0, length)), 2u) << length;
    }
    EXPECT_EQ(complete_utf8_prefix(whole), whole.size());
  }
}

TEST(Utf8, APrefixDoesNotWaitForBytesThatCanNeverBecomeACharacter) {
  EXPECT_EQ(complete_utf8_prefix("a\xFF"), 2u);
  EXPECT_EQ(complete_utf8_prefix("a\x80\x80\x80\x80"), 5u);
  EXPECT_EQ(complete_utf8_prefix("a\xE0\x80"), 3u);  // E0 wants A0 to BF next
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
}

TEST(Utf8, WhatIsInvalidIsReplacedOnceForEachBeginningOfACharacter) {
  EXPECT_EQ(replace_invalid_utf8("a€b"), "a€b");
  EXPECT_EQ(replace_invalid_utf8("a\xE2\x82"
                                 "b"),
            "a\uFFFDb");
  EXPECT_EQ(replace_invalid_utf8("\x80\xFF"), "\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98\xE2\x82"), "\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8(""), "");
}

}  // namespace
}  // namespace excitor
