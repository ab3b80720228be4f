#include <excitor/data/sampler.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

std::vector<int64_t> first_integers(int64_t n) {
  std::vector<int64_t> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

/// All batches of one epoch, one after the other.
std::vector<int64_t> epoch_of(Sampler& sampler, int64_t epoch) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < sampler.steps_per_epoch(); ++i) {
    const auto batch = sampler.global_batch(epoch * sampler.steps_per_epoch() + i);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

TEST(Sampler, EachEpochHoldsEveryExampleOnce) {
  Sampler sampler({.examples = 103, .global_batch_size = 8, .shuffle = true, .seed = 1});
  for (int64_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_THAT(epoch_of(sampler, epoch), UnorderedElementsAreArray(first_integers(103)));
}

TEST(Sampler, EachEpochHasAnOrderOfItsOwn) {
  Sampler sampler({.examples = 100, .global_batch_size = 10, .shuffle = true, .seed = 1});
  EXPECT_NE(epoch_of(sampler, 0), epoch_of(sampler, 1));
  EXPECT_NE(epoch_of(sampler, 0), first_integers(100));
}

TEST(Sampler, AnotherSeedIsAnotherOrder) {
  Sampler one({.examples = 100, .global_batch_size = 10, .shuffle = true, .seed = 1});
  Sampler two({.examples = 100, .global_batch_size = 10, .shuffle = true, .seed = 2});
  EXPECT_NE(epoch_of(one, 0), epoch_of(two, 0));
}

TEST(Sampler, TheLastBatchHoldsWhatIsLeft) {
  Sampler sampler({.examples = 10, .global_batch_size = 4, .shuffle = false, .seed = 0});
  EXPECT_EQ(sampler.steps_per_epoch(), 3);
  EXPECT_THAT(sampler.global_batch(0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(sampler.global_batch(2), ElementsAre(8, 9));
  EXPECT_THAT(sampler.global_batch(3), ElementsAre(0, 1, 2, 3));
}

TEST(Sampler, ABatchIsAFunctionOfTheStepWhateverWasAskedBefore) {
  const Sampler::Options options{.examples = 50, .global_batch_size = 7, .shuffle = true, .seed = 3};
  Sampler straight(options);
  std::vector<std::vector<int64_t>> expected;
  for (int64_t step = 0; step < 30; ++step) expected.push_back(straight.global_batch(step));
  Sampler jumping(options);
  for (const int64_t step : {29, 3, 17, 0, 29, 8})
    EXPECT_EQ(jumping.global_batch(step), expected[static_cast<size_t>(step)]);
}

TEST(Sampler, CountsEpochsAsFractions) {
  const Sampler sampler({.examples = 10, .global_batch_size = 4, .shuffle = false, .seed = 0});
  EXPECT_DOUBLE_EQ(sampler.epoch_after(0), 0);
  EXPECT_DOUBLE_EQ(sampler.epoch_after(2), 0.8);
  EXPECT_DOUBLE_EQ(sampler.epoch_after(3), 1);
  EXPECT_DOUBLE_EQ(sampler.epoch_after(7), 2.4);
}

TEST(Sampler, ABatchLargerThanTheDatasetIsTheDataset) {
  Sampler sampler({.examples = 3, .global_batch_size = 8, .shuffle = false, .seed = 0});
  EXPECT_EQ(sampler.steps_per_epoch(), 1);
  EXPECT_THAT(sampler.global_batch(5), ElementsAre(0, 1, 2));
}

TEST(Sampler, NothingToDealOutIsAFaultOfTheCaller) {
  EXPECT_THROW(Sampler({.examples = 0, .global_batch_size = 1}), std::logic_error);
  EXPECT_THROW(Sampler({.examples = 1, .global_batch_size = 0}), std::logic_error);
}

}  // namespace
}  // namespace excitor
