#include <excitor/dist/group.h>

#include <atomic>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>
#include <excitor/util/signals.h>

#include "threads.h"

namespace excitor {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

/// A time limit that passes in a test: c10d asks a name server for each connection's name, a second long.
constexpr seconds kShort{3};

TEST(Group, OneProcessIsAtOnceWhatManyAgreeOn) {
  Group group;
  EXPECT_EQ(group.size(), 1);
  EXPECT_EQ(group.from_first("step", [] { return std::string("17"); }), "17");
  group.agree({{"seed", "3"}});
  EXPECT_EQ(group.connect()->size(), 1);
}

TEST(Group, WhatTheFirstTellsAllHear) {
  const auto errors = test::as_group(3, [](Group& group) {
    const auto tell = [&] {
      EXPECT_TRUE(group.is_first());
      return std::string("line one\nline two");
    };
    EXPECT_EQ(group.from_first("text", tell), "line one\nline two");
    group.agree({});  // rank 0 keeps the store: it stays until all have read
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Group, EveryProcessNamesEveryDifference) {
  const auto errors = test::as_group(3, [](Group& group) {
    Facts facts{{"the version", "1"}, {"train.seed", "3"}, {"method.r", "4"}};
    if (group.rank() == 1) facts[1].second = "5";
    if (group.rank() == 2) facts = {{"the version", "2"}, {"train.seed", "3"}, {"method.adapter_len", "4"}};
    group.agree(facts);
  });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 1 ("), HasSubstr("train.seed is 5, rank 0 has 3"),
                                 HasSubstr("rank 2 ("), HasSubstr("the version is 2, rank 0 has 1"),
                                 HasSubstr("method.r is missing"), HasSubstr("method.adapter_len"))));
}

TEST(Group, WhoReadsLongIsWaitedForBeyondTheTimeLimit) {
  const auto begin = steady_clock::now();
  const auto errors = test::as_group(
      2,
      [](Group& group) {
        if (group.rank() == 1) std::this_thread::sleep_for(kShort + seconds(1));
        group.agree({{"seed", "3"}});
      },
      kShort);
  EXPECT_THAT(errors, Each(""));
  EXPECT_GT(steady_clock::now() - begin, kShort + seconds(1));
}

TEST(Group, WhatRank0DoesAloneIsWaitedForBeyondTheTimeLimitWhateverSignalsSay) {
  const StopSignals signals;
  std::raise(SIGINT);
  std::atomic<bool> is_done = false;
  const auto errors = test::as_group(
      2,
      [&](Group& group) {
        group.wait_for_first("checkpoint", [&] {
          EXPECT_TRUE(group.is_first());
          std::this_thread::sleep_for(kShort + seconds(1));
          is_done = true;
        });
        EXPECT_TRUE(is_done);
      },
      kShort);
  EXPECT_THAT(errors, Each(""));
}

TEST(Group, WhatRank0FailsAtEndsTheOthersWithItsWords) {
  const auto errors = test::as_group(2, [](Group& group) {
    try {
      group.wait_for_first("checkpoint", [] { throw IoError("the disk is full"); });
    } catch (const IoError& error) {
      group.leave(error.what());
      throw;
    }
  });
  EXPECT_EQ(errors[0], "the disk is full");
  EXPECT_THAT(errors[1], HasSubstr("has ended: the disk is full"));
}

TEST(Group, WhoFailsWhileItReadsIsNamedAtOnce) {
  const auto begin = steady_clock::now();
  const auto errors = test::as_group(2, [](Group& group) {
    if (group.rank() == 1) return group.leave("no such file: rows.json");
    group.agree({{"seed", "3"}});
  });
  EXPECT_THAT(errors[0], HasSubstr("has ended: no such file: rows.json"));
  EXPECT_LT(steady_clock::now() - begin, seconds(8));
}

TEST(Group, WhoNeverComesIsNamed) {
  Group first(test::place(0, 3, test::free_port()), kShort);
  try {
    first.agree({});
    FAIL() << "there is no rank 1";
  } catch (const CommunicationError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1 is missing after 3 s"));
  }
}

TEST(Group, APortInUseIsAnErrorThatNamesIt) {
  const int64_t port = test::free_port();
  const Group holder(test::place(0, 2, port), kShort);
  try {
    const Group again(test::place(0, 2, port), kShort);
    FAIL() << "the port is taken";
  } catch (const CommunicationError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("port " + std::to_string(port)), HasSubstr("in use"),
                                    HasSubstr("MASTER_PORT")));
  }
}

TEST(Group, AMeetingPointWithoutRankZeroIsAnErrorWithinTheTimeLimit) {
  const auto begin = steady_clock::now();
  try {
    const Group alone(test::place(1, 2, test::free_port()), seconds(1));
    FAIL() << "nobody listens";
  } catch (const CommunicationError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("127.0.0.1:"), HasSubstr("MASTER_ADDR")));
  }
  EXPECT_LT(steady_clock::now() - begin, seconds(6));
}

}  // namespace
}  // namespace excitor
