#include <excitor/run/plan_disk.h>

#include <gtest/gtest.h>

namespace excitor {
namespace {

constexpr RunSize kRun{.trainable = 10, .steps = 100};

RunConfig with(const CheckpointSettings& checkpoint) {
  RunConfig config;
  config.checkpoint = checkpoint;
  return config;
}

TEST(PlanDisk, ACheckpointIsTheAdapterAndTwoMoments) {
  const DiskPlan plan = plan_disk(RunConfig(), kRun);
  EXPECT_EQ(plan.result, 40);
  EXPECT_EQ(plan.checkpoint, 120);
  EXPECT_EQ(plan.checkpoints, 1) << "of an interruption";
  EXPECT_EQ(plan.total(), 160);
}

TEST(PlanDisk, CheckpointsAreThoseThatAreKeptAndOneOnItsWay) {
  EXPECT_EQ(plan_disk(with({.save_steps = 10, .save_total_limit = 3}), kRun).checkpoints, 4);
  EXPECT_EQ(plan_disk(with({.save_steps = 50, .save_total_limit = 3}), kRun).checkpoints, 2)
      << "no more are made";
  EXPECT_EQ(plan_disk(with({.save_seconds = 60, .save_total_limit = 2}), kRun).checkpoints, 3);
}

TEST(PlanDisk, WithoutALimitAllAreKept) {
  EXPECT_EQ(plan_disk(with({.save_steps = 10, .save_total_limit = 0}), kRun).checkpoints, 10);
  EXPECT_FALSE(plan_disk(with({.save_steps = 10, .save_total_limit = 0}), kRun).has_more);
  EXPECT_TRUE(plan_disk(with({.save_seconds = 60, .save_total_limit = 0}), kRun).has_more);
}

TEST(PlanDisk, WithValidationTheBestIsKeptToo) {
  RunConfig config;
  config.data.val_size = 5;
  EXPECT_EQ(plan_disk(config, kRun).best, 120) << "the newest, the next, and that of the checkpoint";
  EXPECT_EQ(plan_disk(config, kRun).total(), 280);
}

}  // namespace
}  // namespace excitor
