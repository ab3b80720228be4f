#include <excitor/report/thinning.h>

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(ThinnedCurve, KeepsEveryPointOfAShortRun) {
  ThinnedCurve curve(4);
  for (int64_t step = 1; step <= 8; ++step) curve.add(step, 0.5 * static_cast<double>(step));
  EXPECT_EQ(curve.points_per_bucket(), 1);
  EXPECT_EQ(curve.json(), Json::parse(R"({"step": [1,2,3,4,5,6,7,8], "mean": [0.5,1,1.5,2,2.5,3,3.5,4]})"));
}

TEST(ThinnedCurve, BucketsHoldMeanLowestAndHighest) {
  ThinnedCurve curve(2);
  for (int64_t step = 1; step <= 8; ++step) curve.add(step, static_cast<double>(step));
  EXPECT_EQ(curve.json(), Json::parse(R"({"step": [1,3,5,7], "mean": [1.5,3.5,5.5,7.5],
                                          "low": [1,3,5,7], "high": [2,4,6,8]})"));
}

TEST(ThinnedCurve, StaysSmallAndLosesNoPeak) {
  ThinnedCurve curve(100);
  for (int64_t step = 1; step <= 100'000; ++step) curve.add(step, step == 54'321 ? 99 : std::sin(step));
  const Json json = curve.json();
  EXPECT_LE(json["step"].size(), 200u);
  EXPECT_GE(json["step"].size(), 100u);
  EXPECT_THAT(json["high"], testing::Contains(Json(99)));
  EXPECT_TRUE(std::is_sorted(json["step"].begin(), json["step"].end()));
}

TEST(ThinnedCurve, ValuesThatAreNotFiniteAreGaps) {
  ThinnedCurve curve(2);
  curve.add(1, 2);
  curve.add(2, kNan);
  curve.add(3, std::numeric_limits<double>::infinity());
  EXPECT_EQ(curve.json()["mean"], Json::parse("[2, null, null]"));
  curve.add(4, 4);
  curve.add(5, 8);  // two in a bucket from here on: those that are finite count
  EXPECT_EQ(curve.json()["mean"], Json::parse("[2, 4, 8]"));
}

TEST(ThinnedList, KeepsFirstAndLast) {
  for (const int64_t values : {1, 2, 7, 8, 9, 100, 1000, 12'345}) {
    ThinnedList list(4);
    for (int64_t i = 0; i < values; ++i) list.add(i);
    const Json json = list.json();
    EXPECT_EQ(json.front(), 0);
    EXPECT_EQ(json.back(), values - 1);
    EXPECT_LE(json.size(), 9u) << values;
    EXPECT_GE(json.size(), std::min<size_t>(values, 5));
    EXPECT_TRUE(std::is_sorted(json.begin(), json.end()));
  }
}

TEST(Rounded, KeepsWholeNumbersAndText) {
  EXPECT_EQ(rounded(Json::parse(R"({"a": [123456789, 0.123456, -9.87654e-7], "b": "0.123456"})"), 3),
            Json::parse(R"({"a": [123456789, 0.123, -9.88e-7], "b": "0.123456"})"));
}

}  // namespace
}  // namespace excitor
