#include <excitor/train/run_folder.h>

#include <cstdlib>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/disk_full.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

TEST(RunFolder, TellsAnUnfinishedRunFromAFinishedOneAndCutsMetrics) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  EXPECT_EQ(run.state(), RunState::none);
  run.begin({{"a", 1}});
  EXPECT_EQ(run.state(), RunState::unfinished);
  write_file_atomically(
      run.metrics_file(),
      "{\"event\":\"step\",\"step\":1}\n{\"event\":\"step\",\"step\":2}\n{\"event\":\"step\",\"st");
  run.cut_metrics(1);
  EXPECT_EQ(read_file(run.metrics_file()), "{\"event\":\"step\",\"step\":1}\n");
  write_file_atomically(run.metrics_file(), "{\"event\":\"end\",\"step\":2}\n");
  EXPECT_EQ(run.state(), RunState::finished);
}

TEST(RunFolder, ContentTellsWhetherAnotherRunWasThere) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  const FolderContent empty = run.content();
  EXPECT_EQ(run.content(), empty);
  run.begin({{"a", 1}});
  const FolderContent begun = run.content();
  EXPECT_NE(begun, empty);
  std::filesystem::create_directories(run.checkpoints().folder_of(7));
  EXPECT_NE(run.content(), begun);
}

TEST(RunFolder, KeepsTheNewestCheckpointsAndIgnoresUnfinishedOnes) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  const CheckpointStore checkpoints = run.checkpoints();
  for (const int step : {2, 10, 4}) std::filesystem::create_directories(checkpoints.folder_of(step));
  std::filesystem::create_directories(folder / "checkpoints" / ".step-12.tmp-1-0");
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{2, 4, 10}));
  checkpoints.remove_old(2);
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{4, 10}));
}

TEST(RunFolder, AnOldCheckpointThatCantBeRemovedEndsNothing) {
  const TemporaryFolder folder;
  const CheckpointStore checkpoints(folder.path());
  std::filesystem::create_directories(checkpoints.folder_of(1) / "kept");
  write_file_atomically(checkpoints.folder_of(1) / "kept" / "file", "x");
  std::filesystem::create_directory(checkpoints.folder_of(2));
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(checkpoints.folder_of(1) / "kept", std::filesystem::perms(0555));
  const auto remove_as_another_user = [&] {
    give_up_privileges();
    checkpoints.remove_old(1);
    std::_Exit(0);
  };
  EXPECT_EXIT(remove_as_another_user(), testing::ExitedWithCode(0),
              "step-1: an old checkpoint can't be removed: Permission denied");
  std::filesystem::permissions(checkpoints.folder_of(1) / "kept", std::filesystem::perms(0755));
}

TEST(RunFolder, ACheckpointThatWasBeingReplacedCounts) {
  const TemporaryFolder folder;
  const CheckpointStore checkpoints(folder.path());
  checkpoints.save(3, [](const std::filesystem::path&) {});
  std::filesystem::rename(checkpoints.folder_of(3), folder / ".step-3.old");
  EXPECT_EQ(checkpoints.newest_intact(), 3);
}

class CheckpointStoreTest : public testing::Test {
 protected:
  void save(int64_t step) {
    store_.save(step, [&](const std::filesystem::path& temporary) {
      std::filesystem::create_directory(temporary / "adapter");
      write_file_atomically(temporary / "adapter" / "weights", "weights of " + std::to_string(step));
      write_file_atomically(temporary / "state.json", "{}");
    });
  }
  std::string damage(int64_t step) const { return damage_of(store_.folder_of(step)); }

  TemporaryFolder folder_;
  CheckpointStore store_{folder_ / "checkpoints"};
};

TEST_F(CheckpointStoreTest, TheNewestIntactOneIsFound) {
  EXPECT_EQ(store_.newest_intact(), std::nullopt);
  for (const int64_t step : {4, 8, 12}) save(step);
  EXPECT_EQ(store_.newest_intact(), 12);
  write_file_atomically(store_.folder_of(12) / "adapter" / "weights", "weights of 13");  // as many bytes
  EXPECT_EQ(damage(12), "adapter/weights was changed after it was written");
  EXPECT_EQ(store_.newest_intact(), 8);
  write_file_atomically(store_.folder_of(8) / "state.json", "");
  EXPECT_EQ(damage(8), "state.json has 0 bytes, expected 2");
  EXPECT_EQ(store_.newest_intact(), 4);
  std::filesystem::remove(store_.folder_of(4) / "adapter" / "weights");
  EXPECT_EQ(damage(4), "adapter/weights is missing");
  EXPECT_THROW(store_.newest_intact(), CheckpointError);
}

TEST_F(CheckpointStoreTest, AManifestThatIsNoneIsDamage) {
  save(1);
  write_file_atomically(store_.folder_of(1) / "manifest.json", "{\"files\": 3}");
  EXPECT_NE(damage(1), "");
  write_file_atomically(store_.folder_of(1) / "manifest.json", "[");
  EXPECT_NE(damage(1), "");
  std::filesystem::remove(store_.folder_of(1) / "manifest.json");
  EXPECT_EQ(damage(1), "manifest.json is missing");
}

TEST_F(CheckpointStoreTest, WhatCantBeWrittenLeavesTheOthersAlone) {
  save(1);
  EXPECT_THROW(store_.save(2, [](const std::filesystem::path&) { throw IoError("no space left"); }), IoError);
  EXPECT_EQ(store_.steps(), std::vector<int64_t>{1});
  EXPECT_EQ(store_.newest_intact(), 1);
}

TEST(RunFolder, AFileInThePlaceOfAFolderCantBeWrittenTo) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "x");
  EXPECT_THROW(RunFolder(folder / "file" / "run").check_writable(), IoError);
  EXPECT_NO_THROW(RunFolder(folder / "new" / "run").check_writable());
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
}

TEST(DifferingKeys, LeaveOutWhatMayChange) {
  const Json before = {
      {"train", {{"seed", 1}, {"epochs", 2}}}, {"logging", {{"logging_steps", 1}}}, {"output_dir", "a"}};
  const Json after = {
      {"train", {{"seed", 1}, {"epochs", 3}}}, {"logging", {{"logging_steps", 5}}}, {"output_dir", "b"}};
  EXPECT_EQ(differing_keys(before, after), std::vector<std::string>{"train.epochs"});
}

}  // namespace
}  // namespace excitor
