#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/disk_full.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::StartsWith;

size_t open_descriptors() {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
}

TEST(MappedFile, ShowsTheWholeFileAndKeepsNoDescriptor) {
  const TemporaryFolder folder;
  put(folder / "a", "some bytes");
  const size_t before = open_descriptors();
  const MappedFile file(folder / "a");
  EXPECT_EQ(file.text(), "some bytes");
  EXPECT_EQ(file.bytes().size(), 10u);
  EXPECT_EQ(file.path(), folder / "a");
  EXPECT_EQ(open_descriptors(), before);
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const TemporaryFolder folder;
  put(folder / "a", "");
  EXPECT_TRUE(MappedFile(folder / "a").bytes().empty());
}

TEST(MappedFile, CanBeMoved) {
  const TemporaryFolder folder;
  put(folder / "a", "first");
  put(folder / "b", "second");
  MappedFile file(folder / "a");
  MappedFile other(std::move(file));
  EXPECT_EQ(other.text(), "first");
  other = MappedFile(folder / "b");
  EXPECT_EQ(other.text(), "second");
}

TEST(MappedFile, WhatCantBeMappedIsAnErrorThatNamesTheReason) {
  const TemporaryFolder folder;
  const auto error_for = [](const fs::path& path, const auto& matcher) {
    EXPECT_THAT([&] { MappedFile{path}; }, testing::ThrowsMessage<IoError>(matcher));
  };
  error_for(folder / "a", (folder / "a").string() + ": cannot open: No such file or directory");
  error_for(folder / "b/c/d", EndsWith("(the folder " + (folder / "b").string() + " does not exist)"));
  error_for(folder.path(), folder.path().string() + ": is a folder; expected a file");
  error_for("/dev/null", "/dev/null: is not a regular file");
}

TEST(ReadFile, ReadsRegularFilesPipesAndFilesWithoutASize) {
  const TemporaryFolder folder;
  const std::string large(3'000'000, 'x');
  put(folder / "a", large);
  put(folder / "empty", "");
  EXPECT_EQ(read_file(folder / "a"), large);
  EXPECT_EQ(read_file(folder / "empty"), "");
  EXPECT_THAT(read_file("/proc/self/status"), StartsWith("Name:"));

  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::thread writer([&] { put(folder / "pipe", large); });
  EXPECT_EQ(read_file(folder / "pipe"), large);
  writer.join();
}

TEST(ReadFile, AFolderAndAMissingFileAreErrors) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { read_file(folder.path()); },
              testing::ThrowsMessage<IoError>(folder.path().string() + ": cannot read: Is a directory"));
  EXPECT_THROW(read_file(folder / "missing"), IoError);
}

TEST(MakeWritableFolder, MakesTheParentsToo) {
  const TemporaryFolder folder;
  make_writable_folder(folder / "a/b/c");
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
  make_writable_folder(folder / "a/b/c");
}

TEST(MakeWritableFolder, AFileInTheWayIsAnError) {
  const TemporaryFolder folder;
  put(folder / "a", "");
  EXPECT_THAT(
      [&] { make_writable_folder(folder / "a"); },
      testing::ThrowsMessage<IoError>(StartsWith((folder / "a").string() + ": cannot make the folder: ")));
  EXPECT_THROW(make_writable_folder(folder / "a/b"), IoError);
}

TEST(AppendFile, AddsLinesToWhatIsThere) {
  const TemporaryFolder folder;
  { AppendFile(folder / "a").append_line("one"); }
  AppendFile file(folder / "a");
  file.append_line("two");
  file.append_line("");
  EXPECT_EQ(read_file(folder / "a"), "one\ntwo\n\n");
}

TEST(AppendFile, AFullDiskIsAnErrorThatSaysSo) {
  EXPECT_THAT([] { AppendFile("/dev/full").append_line("one"); },
              testing::ThrowsMessage<IoError>(
                  "/dev/full: cannot write: No space left on device (needed 4 bytes; free "
                  "some or choose another folder)"));
}

TEST(AppendFile, ALineThatDoesNotFitLeavesNoHalf) {
  const TemporaryFolder folder;
  constexpr size_t kLimit = 1000;  // room for the message, which the test reads from a file too
  const auto append_too_much = [&] {
    limit_file_size(kLimit);
    AppendFile file(folder / "a");
    file.append_line("1234567");
    exit_with_error_of([&] { file.append_line(std::string(kLimit, 'x')); });
  };
  EXPECT_EXIT(append_too_much(), testing::ExitedWithCode(0), "a: cannot write: File too large");
  EXPECT_EQ(read_file(folder / "a"), "1234567\n");
}

}  // namespace
}  // namespace excitor
