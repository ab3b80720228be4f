#include "../../src/dist/grace.h"

#include <gtest/gtest.h>

namespace excitor {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr seconds kLimit{600};
const Grace::Clock::time_point kFailure{};

TEST(Grace, MostProcessesHaveSeconds) {
  Grace grace(kFailure, kLimit);
  EXPECT_TRUE(grace.holds_for({.rank = 1}, kFailure + seconds(4)));
  EXPECT_FALSE(grace.holds_for({.rank = 1}, kFailure + seconds(6)));
}

TEST(Grace, Rank0MayLearnOfTheFailureAfterTheTimeLimit) {
  Grace grace(kFailure, kLimit);
  EXPECT_TRUE(grace.holds_for({.rank = 0}, kFailure + kLimit + seconds(30)));
  EXPECT_FALSE(grace.holds_for({.rank = 0}, kFailure + kLimit + seconds(61)));
}

TEST(Grace, Rank0SavesAsLongAsItTakes) {
  Grace grace(kFailure, kLimit);
  const auto begin = kFailure + kLimit, end = begin + hours(3);
  for (auto now = begin; now <= end; now += seconds(60))
    EXPECT_TRUE(grace.holds_for({.rank = 0, .is_saving = true}, now));
  EXPECT_TRUE(grace.holds_for({.rank = 0}, end + kLimit))
      << "what it saved was due; it learns of the failure now";
  EXPECT_FALSE(grace.holds_for({.rank = 0}, end + kLimit + seconds(61)));
}

TEST(Grace, WhoIsSuspendedSavesNothing) {
  Grace grace(kFailure, kLimit);
  EXPECT_FALSE(grace.holds_for({.rank = 0, .is_suspended = true, .is_saving = true}, kFailure + seconds(6)));
}

}  // namespace
}  // namespace excitor
