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
