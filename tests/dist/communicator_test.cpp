#include <excitor/dist/communicator.h>

#include <atomic>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "threads.h"

namespace c10d {
/// The operations on record, as in FlightRecorder.hpp, which needs headers of Torch's C++ API.
TORCH_API std::string dump_fr_trace_json(bool includeCollectives, bool onlyActive);
}  // namespace c10d

namespace excitor {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

class Gloo : public testing::TestWithParam<int64_t> {
 protected:
  int64_t size_ = GetParam();
};

TEST_P(Gloo, SumsAreThoseOfAllProcessesAndTheSameBitsInEach) {
  std::vector<at::Tensor> parts(size_), sums(size_);
  for (at::Tensor& part : parts) part = at::randn({10'001});
  const auto errors = test::as_group(size_, [&](Group& group) {
    const auto communicator = group.connect();
    EXPECT_EQ(communicator->size(), size_);
    sums[communicator->rank()] = parts[communicator->rank()].clone();
    communicator->all_reduce_sum(sums[communicator->rank()]);
  });
  EXPECT_THAT(errors, Each(""));
  at::Tensor expected = at::zeros({10'001}, at::kDouble);
  for (const at::Tensor& part : parts) expected += part.to(at::kDouble);
  EXPECT_LT((sums[0].to(at::kDouble) - expected).abs().max().item<double>(), 1e-5);
  for (const at::Tensor& sum : sums) EXPECT_TRUE(sum.equal(sums[0]));
}

TEST_P(Gloo, AnyTypeIsBroadcastFromAnyRootAndGatheredInTheOrderOfRanks) {
  const auto errors = test::as_group(size_, [&](Group& group) {
    const auto communicator = group.connect();
    const int64_t rank = communicator->rank(), root = size_ - 1;
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kLong, at::kBFloat16, at::kHalf}) {
      at::Tensor value = at::full({3}, rank, type);
      communicator->broadcast(value, root);
      EXPECT_TRUE(value.equal(at::full({3}, root, type)));
      at::Tensor whole = at::zeros({2 * size_}, type);
      communicator->all_gather(whole, at::arange(2 * rank, 2 * rank + 2, type))->wait();
      EXPECT_TRUE(whole.equal(at::arange(2 * size_, type)));
    }
  });
  EXPECT_THAT(errors, Each(""));
}

TEST_P(Gloo, GatheringGoesOnBesideOtherOperations) {
  const auto errors = test::as_group(size_, [&](Group& group) {
    const auto communicator = group.connect();
    at::Tensor first = at::zeros({size_}), second = at::zeros({size_}), sum = at::full({4}, 1.0);
    const at::Tensor part = at::full({1}, communicator->rank(), at::kFloat);
    const auto one = communicator->all_gather(first, part), two = communicator->all_gather(second, part);
    communicator->all_reduce_sum(sum);
    two->wait();
    one->wait();
    EXPECT_TRUE(first.equal(at::arange(size_, at::kFloat)) && second.equal(first));
    EXPECT_TRUE(sum.equal(at::full({4}, static_cast<double>(size_))));
  });
  EXPECT_THAT(errors, Each(""));
}

/// c10d's record of operations is one for the whole process, and groups in threads wrote to it at once.
TEST_P(Gloo, NoRecordIsSharedByGroupsInThreadsOfOneProcess) {
  const auto errors =
      test::as_group(size_, [](Group& group) { group.connect()->all_reduce_sum(at::full({4}, 1.0)); });
  EXPECT_THAT(errors, Each(""));
  EXPECT_THAT(c10d::dump_fr_trace_json(true, false), Not(HasSubstr("all_reduce")));
}

TEST_P(Gloo, NobodyPassesABarrierBeforeAllAreThere) {
  std::atomic<int64_t> arrived = 0;
  const auto errors = test::as_group(size_, [&](Group& group) {
    const auto communicator = group.connect();
    std::this_thread::sleep_for(std::chrono::milliseconds(30 * communicator->rank()));
    ++arrived;
    communicator->barrier();
    EXPECT_EQ(arrived, size_);
  });
  EXPECT_THAT(errors, Each(""));
}

TEST_P(Gloo, WhoDoesNotArriveIsNamedWithTheOperationAfterTheTimeLimit) {
  const int64_t late = size_ - 1;
  const auto begin = steady_clock::now();
  std::atomic<int64_t> told = 0;
  const auto errors = test::as_group(
      size_,
      [&](Group& group) {
        const auto communicator = group.connect();
        communicator->begin("step 17");
        if (group.rank() == late) {
          while (told < size_ - 1 && steady_clock::now() - begin < seconds(20))
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          return;
        }
        try {
          communicator->all_reduce_sum(at::zeros({4}));
        } catch (const CommunicationError&) {
          ++told;
          throw;
        }
      },
      seconds(3));
  for (int64_t rank = 0; rank < late; ++rank) {
    EXPECT_THAT(errors[rank], HasSubstr("the all-reduce of step 17"));
    EXPECT_THAT(errors[rank], HasSubstr("rank " + std::to_string(late) + " ("));
    EXPECT_THAT(errors[rank], HasSubstr("within 3 s"));
  }
  EXPECT_LT(steady_clock::now() - begin, seconds(12));
}

TEST_P(Gloo, WhoEndedWithAnErrorOfItsOwnIsNamedWithTheError) {
  const int64_t failing = size_ - 1;
  const auto begin = steady_clock::now();
  const auto errors = test::as_group(size_, [&](Group& group) {
    auto communicator = group.connect();
    if (group.rank() == failing) return group.leave("rows.json:7: not JSON");
    communicator->all_reduce_sum(at::zeros({4}));
  });
  for (int64_t rank = 0; rank < failing; ++rank) {
    EXPECT_THAT(errors[rank], HasSubstr("has ended: rows.json:7: not JSON"));
    EXPECT_THAT(errors[rank], HasSubstr("rank " + std::to_string(failing) + " ("));
  }
  EXPECT_LT(steady_clock::now() - begin, seconds(10));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Gloo, testing::Values(2, 4));

TEST(SingleProcess, EveryOperationIsDoneAtOnce) {
  const auto communicator = single_process();
  at::Tensor value = at::full({2}, 3.0), whole = at::zeros({2});
  communicator->all_reduce_sum(value);
  communicator->broadcast(value, 0);
  communicator->all_gather(whole, value)->wait();
  communicator->barrier();
  EXPECT_TRUE(whole.equal(at::full({2}, 3.0)));
}

}  // namespace
}  // namespace excitor
