#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>

#include <gmock/gmock.h>

#include <excitor/util/random.h>

namespace excitor {
namespace {

TEST(Random, StreamZeroIsSplitMix64OfTheSeed) {
  // The reference values of Rosetta Code's "Pseudo-random numbers/Splitmix64", seed 1234567.
  Random random(1234567, 0);
  for (const uint64_t expected : {6457827717110365317ull, 3203168211198807973ull, 9817491932198370423ull,
                                  4593380528125082431ull, 16408922859458223821ull}) {
    EXPECT_EQ(random.next_u64(), expected);
  }
}

TEST(Random, AnotherStreamOrSeedGivesOtherNumbers) {
  const uint64_t first = Random(7, 1).next_u64();
  EXPECT_EQ(Random(7, 1).next_u64(), first);
  EXPECT_NE(Random(7, 2).next_u64(), first);
  EXPECT_NE(Random(8, 1).next_u64(), first);
}

TEST(Random, UniformNumbersLieInTheUnitIntervalWithTheirMeanAndVariance) {
  Random random(1, 1);
  constexpr int kCount = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 0.5, 0.005);  // five standard errors: 5 / sqrt(12 n)
  EXPECT_NEAR(squares / kCount - mean * mean, 1.0 / 12.0, 0.002);
}

TEST(Random, NormalNumbersHaveMeanZeroVarianceOneAndNoSkew) {
  Random random(2, 1);
  constexpr int kCount = 200000;
  double sum = 0, squares = 0, cubes = 0;
  int beyond_two = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x, squares += x * x, cubes += x * x * x;
    beyond_two += std::abs(x) > 2;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.012);
  EXPECT_NEAR(squares / kCount, 1.0, 0.016);
  EXPECT_NEAR(cubes / kCount, 0.0, 0.05);
  EXPECT_NEAR(static_cast<double>(beyond_two) / kCount, 0.0455, 0.0025);  // 2 (1 - Φ(2))
}

TEST(Random, BelowIsUniform) {
  Random random(3, 1);
  constexpr int kCount = 60000;
  std::array<int, 6> counts{};
  for (int i = 0; i < kCount; ++i) ++counts.at(random.below(6));
  for (const int count : counts) EXPECT_NEAR(count, kCount / 6, 460);  // five standard deviations
}

TEST(Random, BelowHasNoModuloBiasWhereItWouldShow) {
  // With modulo, numbers below 2^62 would come twice as often as those above: 2/3 instead of 1/2 ... of
  // 3·2^62.
  Random random(4, 1);
  constexpr uint64_t kBound = 3ull << 62;
  int low = 0;
  constexpr int kCount = 30000;
  for (int i = 0; i < kCount; ++i) low += random.below(kBound) < (1ull << 62);
  EXPECT_NEAR(low, kCount / 3, 410);
}

TEST(Random, BelowOneIsZeroAndBelowZeroIsAFaultOfTheCaller) {
  Random random(5, 1);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_THROW(random.below(0), std::logic_error);
}

TEST(StreamOf, IsFnv1a) {
  // Test vectors of the reference implementation (isthe.com/chongo/src/fnv/test_fnv.c).
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(stream_of("foobar"), 0x85944171f73967e8ull);
}

TEST(Permutation, HoldsEveryNumberOnceAndIsAFunctionOfTheSeed) {
  std::vector<int64_t> order = permutation(1000, Random(6, 1));
  EXPECT_EQ(order, permutation(1000, Random(6, 1)));
  EXPECT_NE(order, permutation(1000, Random(7, 1)));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Permutation, AllOrdersAreEquallyLikely) {
  std::map<std::vector<int64_t>, int> counts;
  constexpr int kCount = 24000;
  for (uint64_t seed = 0; seed < kCount; ++seed) ++counts[permutation(4, Random(seed, 9))];
  ASSERT_EQ(counts.size(), 24u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, kCount / 24, 160);  // five standard deviations
}

TEST(Permutation, OfNothingAndOfOneAndOfANegativeNumber) {
  EXPECT_TRUE(permutation(0, Random(1, 1)).empty());
  EXPECT_THAT(permutation(1, Random(1, 1)), testing::ElementsAre(0));
  EXPECT_THROW(permutation(-1, Random(1, 1)), std::logic_error);
}

}  // namespace
}  // namespace excitor
