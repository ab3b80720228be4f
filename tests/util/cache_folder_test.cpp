#include <excitor/util/cache_folder.h>

#include <chrono>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/files.h>

#include "temporary_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class CacheFolderTest : public testing::Test {
 protected:
  /// An entry of `bytes`, last used so many hours ago.
  fs::path add(const std::string& name, const std::string& mark, int64_t bytes, int hours) {
    const fs::path folder = cache_ / name;
    fs::create_directories(folder);
    write_file_atomically(folder / mark, "{}");
    write_file_atomically(folder / "data", std::string(bytes - 2, 'x'));
    const auto time = fs::file_time_type::clock::now() - std::chrono::hours(hours);
    for (const fs::path& path : {folder / mark, folder / "data", folder}) fs::last_write_time(path, time);
    return folder;
  }

  static std::vector<std::string> names(const std::vector<CacheEntry>& entries) {
    std::vector<std::string> names;
    for (const CacheEntry& entry : entries) names.push_back(entry.folder.filename().string());
    return names;
  }
  std::vector<std::string> names() const { return names(list_cache(cache_.path())); }

  TemporaryFolder cache_;
};

TEST_F(CacheFolderTest, ListsTokensAndFeaturesTheLongestUnusedFirst) {
  add("new", "manifest.json", 100, 1);
  add("images/old", "key.json", 300, 3);
  add("half.partial", "manifest.json", 50, 2);
  const std::vector<CacheEntry> entries = list_cache(cache_.path());
  EXPECT_THAT(names(entries), ElementsAre("old", "half.partial", "new"));
  EXPECT_EQ(entries[0].content, "features of images");
  EXPECT_EQ(entries[0].bytes, 300);
  EXPECT_EQ(entries[1].content, "tokens, unfinished");
  EXPECT_EQ(entries[2].content, "tokens");
}

TEST_F(CacheFolderTest, AnEntryThatIsUsedStaysLongest) {
  const fs::path old = add("old", "manifest.json", 100, 3);
  add("new", "manifest.json", 100, 1);
  note_cache_use(old);
  EXPECT_THAT(names(shrink_cache(cache_.path(), 150)), ElementsAre("new"));
  EXPECT_THAT(names(), ElementsAre("old"));
}

TEST_F(CacheFolderTest, WhatFitsStays) {
  add("a", "manifest.json", 100, 2);
  add("b", "manifest.json", 100, 1);
  EXPECT_THAT(shrink_cache(cache_.path(), 200), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a", "b"));
}

TEST_F(CacheFolderTest, WhatTheCacheDidNotWriteIsNeverRemoved) {
  fs::create_directories(cache_ / "letters");
  write_file_atomically(cache_ / "letters" / "to.txt", "Dear");
  write_file_atomically(cache_ / "notes.txt", "mine");
  add("a", "manifest.json", 100, 1);
  EXPECT_THAT(names(shrink_cache(cache_.path(), 0)), ElementsAre("a"));
  EXPECT_TRUE(fs::exists(cache_ / "letters" / "to.txt"));
  EXPECT_TRUE(fs::exists(cache_ / "notes.txt"));
}

TEST_F(CacheFolderTest, WhatIsBeingFilledStays) {
  const fs::path filled = add("a.partial", "manifest.json", 100, 9);
  const int holder = ::open(filled.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(holder, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(shrink_cache(cache_.path(), 0), IsEmpty());
  ::close(holder);
  EXPECT_THAT(names(shrink_cache(cache_.path(), 0)), ElementsAre("a.partial"));
}

TEST_F(CacheFolderTest, ARemovalThatWasInterruptedIsFinished) {
  add("a.excitor-removed", "manifest.json", 100, 1);
  EXPECT_THAT(names(shrink_cache(cache_.path(), 1000)), ElementsAre("a.excitor-removed"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(CacheFolderTest, AFolderThatIsNotThereHasNothing) {
  EXPECT_THAT(list_cache(cache_ / "none"), IsEmpty());
}

}  // namespace
}  // namespace excitor
