// Weights of files, as the sampler follows them.
#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/data/sampler.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::ThrowsMessage;

std::vector<int64_t> epoch_of(const Sampler::Options& options, int64_t epoch) {
  Sampler sampler(options);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < sampler.steps_per_epoch(); ++i) {
    const auto batch = sampler.global_batch(epoch * sampler.steps_per_epoch() + i);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

std::map<int64_t, int> counts_of(const std::vector<int64_t>& examples) {
  std::map<int64_t, int> counts;
  for (const int64_t i : examples) ++counts[i];
  return counts;
}

/// Ten examples with weight 2.3, twenty with weight 0.25.
Sampler::Options two_files() {
  return {.examples = 30,
          .global_batch_size = 4,
          .shuffle = true,
          .seed = 5,
          .weights = {{.begin = 0, .end = 10, .weight = 2.3}, {.begin = 10, .end = 30, .weight = 0.25}}};
}

TEST(Weights, AreWholeRepetitionsAndAShareOfOneMore) {
  const auto counts = counts_of(epoch_of(two_files(), 0));
  int twice = 0, thrice = 0, rare = 0;
  for (const auto& [example, count] : counts) {
    twice += example < 10 && count == 2;
    thrice += example < 10 && count == 3;
    rare += example >= 10 && count == 1;
  }
  EXPECT_EQ(twice, 7);
  EXPECT_EQ(thrice, 3);
  EXPECT_EQ(rare, 5);
  EXPECT_EQ(Sampler(two_files()).examples_per_epoch(), 28);
}

TEST(Weights, ChooseAnewEachEpochAsTheSeedSays) {
  EXPECT_EQ(epoch_of(two_files(), 3), epoch_of(two_files(), 3));
  EXPECT_NE(counts_of(epoch_of(two_files(), 0)), counts_of(epoch_of(two_files(), 1)));
}

TEST(Weights, OfFilesAreShuffledTogether) {
  const auto order = epoch_of(two_files(), 0);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  const bool first_half_mixes =
      std::any_of(order.begin(), order.begin() + 14, [](int64_t i) { return i >= 10; });
  EXPECT_TRUE(first_half_mixes);
}

TEST(Weights, WithoutShufflingKeepTheFilesOrder) {
  const Sampler::Options options{.examples = 4,
                                 .global_batch_size = 100,
                                 .shuffle = false,
                                 .seed = 0,
                                 .weights = {{.begin = 0, .end = 2, .weight = 2}, {.begin = 2, .end = 4}}};
  EXPECT_THAT(epoch_of(options, 0), ElementsAre(0, 1, 0, 1, 2, 3));
}

TEST(Weights, OfOneEverywhereGiveTheOrderWithoutWeights) {
  Sampler::Options options = two_files();
  options.weights = {{.begin = 0, .end = 10}, {.begin = 10, .end = 30}};
  Sampler::Options without = two_files();
  without.weights = {};
  for (int64_t epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(epoch_of(options, epoch), epoch_of(without, epoch));
}

TEST(Weights, CountEpochsByWhatTheyHold) {
  const Sampler sampler(two_files());
  EXPECT_EQ(sampler.steps_per_epoch(), 7);
  EXPECT_DOUBLE_EQ(sampler.epoch_after(7), 1);
}

TEST(Weights, ThatLeaveNothingAreAConfigurationError) {
  EXPECT_THAT([] { Sampler({.examples = 3, .weights = {{.begin = 0, .end = 3, .weight = 0.1}}}); },
              ThrowsMessage<ConfigError>(testing::HasSubstr("change the weights")));
}

TEST(WeightedRanges, EndWhereValidationBegins) {
  const std::vector<LoadedFile> files{{.path = "a", .weight = 2, .report = {.examples = 5}},
                                      {.path = "b", .weight = 3, .report = {.examples = 5}}};
  const auto ranges = weighted_ranges(files, 7);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[1].begin, 5);
  EXPECT_EQ(ranges[1].end, 7);
  EXPECT_DOUBLE_EQ(ranges[1].weight, 3);
  EXPECT_EQ(weighted_ranges(files, 4).size(), 1U);
}

TEST(WeightedRanges, AreNoneWhenEveryWeightIsOne) {
  EXPECT_THAT(weighted_ranges({{.path = "a", .report = {.examples = 5}}}, 5), IsEmpty());
}

}  // namespace
}  // namespace excitor
