#include <excitor/util/regex.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Regex, AFullMatchCoversTheWholeText) {
  const Regex layers(R"(model\.layers\.\d+\.(self_attn|mlp)\..*_proj)");
  EXPECT_TRUE(layers.matches_fully("model.layers.11.self_attn.q_proj"));
  EXPECT_FALSE(layers.matches_fully("model.layers.11.self_attn.q_proj.weight"));
  EXPECT_FALSE(layers.matches_fully("base.model.layers.11.self_attn.q_proj"));
  EXPECT_FALSE(layers.matches_fully(""));
}

TEST(Regex, AFullMatchTriesTheOtherAlternatives) {
  EXPECT_TRUE(Regex("a|ab").matches_fully("ab"));  // as re.fullmatch
}

TEST(Regex, KnowsWhatPythonWrites) {
  EXPECT_TRUE(Regex("(?P<part>self_attn|mlp)[.](?:q|up)_proj").matches_fully("mlp.up_proj"));
  EXPECT_TRUE(Regex("(?!.*lm_head).*proj").matches_fully("mlp.up_proj"));
}

TEST(Regex, FindsTheNextMatchFromAnOffset) {
  const Regex words(R"(\p{L}+)");
  const std::string text = "ab, cdé!";
  const auto first = words.find(text);
  ASSERT_TRUE(first);
  EXPECT_EQ(text.substr(first->begin, first->end - first->begin), "ab");
  const auto second = words.find(text, first->end);
  ASSERT_TRUE(second);
  EXPECT_EQ(text.substr(second->begin, second->end - second->begin), "cdé");
  EXPECT_FALSE(words.find(text, second->end));
}

TEST(Regex, ClassesFollowUnicode) {
  EXPECT_TRUE(Regex(R"(\p{L}\p{N}\s\d)").matches_fully("語½\u3000٣"));
  EXPECT_TRUE(Regex("(?i:ÄB)").matches_fully("äb"));
}

TEST(Regex, ALongTextIsSearchedWithoutRecursion) {
  const std::string blanks(1 << 20, ' ');
  const auto match = Regex(R"(\s+(?!\S)|\s+)").find(blanks + "a");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->end, blanks.size() - 1);
}

TEST(Regex, ABadExpressionIsNamedWithOffsetAndReason) {
  EXPECT_THAT([] { Regex("q_proj(|v_proj"); },
              ThrowsMessage<ConfigError>(
                  AllOf(HasSubstr("q_proj(|v_proj"), HasSubstr("offset 14"), HasSubstr("parenthesis"))));
  EXPECT_THROW(Regex("*_proj"), ConfigError);
  EXPECT_THROW(Regex("\xFF"), ConfigError);
}

TEST(Regex, AnExpressionThatBacktracksWithoutEndIsGivenUp) {
  EXPECT_THAT([] { Regex("(a+)+b|(a|aa)+c").find(std::string(60, 'a')); },
              ThrowsMessage<ConfigError>(HasSubstr("(a+)+b")));
}

}  // namespace
}  // namespace excitor
