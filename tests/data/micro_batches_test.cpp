#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/data/sampler.h>
#include <excitor/util/random.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

std::vector<int64_t> tokens_of(const std::vector<int64_t>& examples, const Dataset& dataset) {
  std::vector<int64_t> tokens;
  for (const int64_t e : examples) tokens.push_back(dataset.tokens(e));
  return tokens;
}

int64_t sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

TEST(ShareOfRank, SharesMakeUpTheBatchAndAreEven) {
  const test::Lengths dataset({40, 60, 50, 30, 10, 70});
  const std::vector<int64_t> batch{5, 3, 1, 2, 0};  // 70, 30, 60, 50, 40 tokens
  EXPECT_THAT(share_of_rank(batch, 0, 2, dataset, {}), ElementsAre(5, 0, 3));
  EXPECT_THAT(share_of_rank(batch, 1, 2, dataset, {}), ElementsAre(1, 2));
  EXPECT_EQ(share_of_rank(batch, 0, 1, dataset, {}), batch);
}

TEST(ShareOfRank, NoShareIsMoreThanAThirdAboveWhatItNeedBe) {
  Random random(0, 0);
  for (int round = 0; round < 100; ++round) {
    std::vector<int64_t> lengths(16), batch(16);
    for (int64_t& length : lengths) length = 1 + static_cast<int64_t>(random.below(512));
    std::iota(batch.begin(), batch.end(), 0);
    const test::Lengths dataset(lengths);
    const int64_t least = std::max(*std::ranges::max_element(lengths), (sum(lengths) + 3) / 4);
    std::vector<int64_t> all;
    for (int64_t rank = 0; rank < 4; ++rank) {
      const auto share = share_of_rank(batch, rank, 4, dataset, {});
      EXPECT_LE(3 * sum(tokens_of(share, dataset)), 4 * least + 3);
      all.insert(all.end(), share.begin(), share.end());
    }
    EXPECT_THAT(all, UnorderedElementsAreArray(batch));
  }
}

TEST(ShareOfRank, WithoutPackingNoneHasMoreExamplesThanItNeedHave) {
  const test::Lengths dataset({500, 10, 11, 12});
  const std::vector<int64_t> batch{0, 1, 2, 3};
  EXPECT_THAT(share_of_rank(batch, 0, 2, dataset, {.packing = false}), ElementsAre(0, 1));
  EXPECT_THAT(share_of_rank(batch, 1, 2, dataset, {.packing = false}), ElementsAre(3, 2));
}

TEST(ShareOfRank, ASmallBatchMayLeaveARankNothing) {
  const test::Lengths dataset({7});
  EXPECT_THAT(share_of_rank(std::vector<int64_t>{0}, 1, 2, dataset, {}), IsEmpty());
  EXPECT_THROW(share_of_rank(std::vector<int64_t>{0}, 2, 2, dataset, {}), std::logic_error);
}

TEST(MicroBatches, PackingFillsTheFirstThatFitsLongestFirst) {
  const test::Lengths dataset({40, 60, 50, 30, 10, 70});
  const std::vector<int64_t> examples{0, 1, 2, 3, 4, 5};
  const auto batches =
      lay_into_micro_batches(examples, dataset, {.packing = true, .max_examples = 1, .max_tokens = 100});
  EXPECT_THAT(batches, ElementsAre(ElementsAre(5, 3), ElementsAre(1, 0), ElementsAre(2, 4)));
}

TEST(MicroBatches, PackingHoldsEveryExampleOnceWithinTheBudget) {
  Random random(0, 0);
  std::vector<int64_t> lengths(500);
  for (int64_t& length : lengths) length = 1 + static_cast<int64_t>(random.below(512));
  const test::Lengths dataset(lengths);
  std::vector<int64_t> examples;
  for (int64_t i = 0; i < 500; i += 2) examples.push_back(i);

  const auto batches =
      lay_into_micro_batches(examples, dataset, {.packing = true, .max_examples = 1, .max_tokens = 512});
  std::vector<int64_t> laid;
  for (const auto& batch : batches) {
    EXPECT_LE(sum(tokens_of(batch, dataset)), 512);
    laid.insert(laid.end(), batch.begin(), batch.end());
  }
  EXPECT_THAT(laid, UnorderedElementsAreArray(examples));
  const int64_t fewest = sum(tokens_of(examples, dataset)) / 512 + 1;
  EXPECT_LE(static_cast<int64_t>(batches.size()), fewest * 11 / 9 + 1);
}

TEST(MicroBatches, AnExampleLongerThanTheBudgetStandsAlone) {
  const test::Lengths dataset({10, 200, 10});
  const auto batches = lay_into_micro_batches(std::vector<int64_t>{0, 1, 2}, dataset,
                                              {.packing = true, .max_examples = 1, .max_tokens = 100});
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1), ElementsAre(0, 2)));
}

TEST(MicroBatches, WithoutPackingEachHoldsAFixedNumberOfLikeLength) {
  const test::Lengths dataset({40, 60, 50, 30, 10});
  const auto batches = lay_into_micro_batches(std::vector<int64_t>{0, 1, 2, 3, 4}, dataset,
                                              {.packing = false, .max_examples = 2, .max_tokens = 1});
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1, 2), ElementsAre(0, 3), ElementsAre(4)));
}

TEST(MicroBatches, ExamplesOfOneLengthKeepTheirOrder) {
  const test::Lengths dataset({5, 5, 5, 5});
  const auto batches = lay_into_micro_batches(std::vector<int64_t>{3, 1, 0, 2}, dataset,
                                              {.packing = true, .max_examples = 1, .max_tokens = 10});
  EXPECT_THAT(batches, ElementsAre(ElementsAre(3, 1), ElementsAre(0, 2)));
}

TEST(MicroBatches, OfNoExamplesThereAreNone) {
  EXPECT_THAT(lay_into_micro_batches({}, test::Lengths({}), {}), IsEmpty());
}

}  // namespace
}  // namespace excitor
