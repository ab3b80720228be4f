// Expected values: coco-caption (pycocoevalcap) with Stanford's tokeniser; more of them in tests/python.
#include <excitor/eval/caption_metrics.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/eval/ptb_tokenizer.h>

namespace excitor {
namespace {

using testing::ElementsAre;

TEST(PtbWords, RulesOfTheTreebank) {
  EXPECT_THAT(ptb_words({"A man can't ride; it's 5'10\" (tall).", "Mr. Smith cannot, U.S. and 1 1/2 cups",
                         "€5 ½ 😀 “hi” a—b"}),
              ElementsAre("a man ca n't ride it 's 5 10 -lrb- tall -rrb-",
                          "mr. smith can not u.s. and 1\u00A01/2 cups", "$ 5 1/2 hi a b"));
}

TEST(PtbWords, TheNextLineDecidesWhetherALetterEndsASentence) {
  EXPECT_THAT(ptb_words({"vitamin b.", "The cat", "vitamin b.", "Cats"}),
              ElementsAre("vitamin b", "the cat", "vitamin b.", "cats"));
}

TEST(PtbWords, LinesStayLines) {
  EXPECT_THAT(ptb_words({"", "a\nb\r\nc", "\u2028", ""}), ElementsAre("", "a b c", "", ""));
  EXPECT_TRUE(ptb_words({}).empty());
}

TEST(CaptionMetrics, EmptyCaptionsScoreNothing) {
  const std::vector<CaptionedImage> images{
      {.id = "1", .caption = "", .references = {"a dog"}},
      {.id = "2", .caption = "a cat", .references = {"a cat", "the cat"}}};
  for (const CaptionMetric& metric : measure_captions(images)) {
    EXPECT_GE(metric.value, 0) << metric.name;
    EXPECT_LE(metric.low, metric.high) << metric.name;
  }
  EXPECT_EQ(rouge_l(images)[0], 0);
  EXPECT_EQ(cider_d(images)[0], 0);
}

// ROUGE splits at single spaces, BLEU and CIDEr at blanks of every kind.
TEST(CaptionMetrics, ANoBreakSpaceIsOneWordForRougeAndTwoForBleu) {
  const std::vector<CaptionedImage> images{
      {.id = "1", .caption = "1\u00A01/2 cups", .references = {"1 1/2 cups"}}};
  EXPECT_EQ(count_bleu(images)[0].caption_words, 3);
  EXPECT_EQ(count_bleu(images)[0].correct[2], 1);
  EXPECT_LT(rouge_l(images)[0], 1);
}

}  // namespace
}  // namespace excitor
