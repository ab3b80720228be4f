#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <set>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/disk_full.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::ThrowsMessage;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

void write_two_files(const fs::path& folder, const std::string& text) {
  write_file_atomically(folder / "a", text);
  fs::create_directory(folder / "sub");
  write_file_atomically(folder / "sub" / "b", text);
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.write("one ");
  file.write("two");
  EXPECT_FALSE(fs::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "one two");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, WithoutCommitTheFormerContentStays) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  { AtomicFile(folder / "a").write("new"); }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, AKilledWriterLeavesTheFormerContent) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  const auto die_while_writing = [&] {
    AtomicFile file(folder / "a");
    file.write("new");
    std::_Exit(3);
  };
  EXPECT_EXIT(die_while_writing(), testing::ExitedWithCode(3), "");
  EXPECT_EQ(read_file(folder / "a"), "old");
}

TEST(AtomicFile, IsAsReadableAsOtherNewFiles) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "");
  const int descriptor = ::open((folder / "b").c_str(), O_WRONLY | O_CREAT, 0666);
  ::close(descriptor);
  EXPECT_EQ(fs::status(folder / "a").permissions(), fs::status(folder / "b").permissions());
}

TEST(AtomicFile, ANameOfFullLengthHasATemporaryNameToo) {
  const TemporaryFolder folder;
  const std::string name(255, 'n');
  write_file_atomically(folder / name, "x");
  EXPECT_EQ(read_file(folder / name), "x");
}

TEST(AtomicFile, TwoWritersOfOneNameDoNotMeet) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a");
  AtomicFile second(folder / "a");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(read_file(folder / "a"), "first");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, AMissingFolderIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      [&] { AtomicFile(folder / "b/a"); },
      ThrowsMessage<IoError>(AllOf(StartsWith((folder / "b/a").string() + ": cannot create: "),
                                   EndsWith("(the folder " + (folder / "b").string() + " does not exist)"))));
}

TEST(AtomicFile, AFolderInTheWayIsAnErrorAndStays) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  EXPECT_THAT([&] { write_file_atomically(folder / "a", "x"); },
              ThrowsMessage<IoError>((folder / "a").string() + ": cannot put in place: Is a directory"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, AFileThatMayNotGrowLeavesTheFormerContent) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  const auto write_too_much = [&] {
    limit_file_size(1000);
    exit_with_error_of([&] { write_file_atomically(folder / "a", std::string(5000, 'x')); });
  };
  EXPECT_EXIT(write_too_much(), testing::ExitedWithCode(0),
              "a: cannot write: File too large \\(needed 4000 bytes; free some or choose another folder\\)");
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, AFullDiskLeavesTheFormerContentAndNoRubbish) {
  const TemporaryFolder folder;
  const TinyDisk disk(folder.path(), "size=64k");
  if (!disk.mounted()) GTEST_SKIP() << "needs permission to mount a tmpfs";
  write_file_atomically(folder / "a", "old");
  EXPECT_THAT([&] { write_file_atomically(folder / "a", std::string(1'000'000, 'x')); },
              ThrowsMessage<IoError>(HasSubstr("cannot write: No space left on device (needed ")));
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(WriteFolderAtomically, AppearsComplete) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "step-1", [&](const fs::path& temporary) {
    write_two_files(temporary, "one");
    EXPECT_FALSE(fs::exists(folder / "step-1"));
  });
  EXPECT_EQ(read_file(folder / "step-1/sub/b"), "one");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("step-1"));
}

TEST(WriteFolderAtomically, ReplacesAnOlderOneEntirely) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "x", [](const fs::path& temporary) { write_two_files(temporary, "one"); });
  write_folder_atomically(folder / "x/",
                          [](const fs::path& temporary) { write_file_atomically(temporary / "c", "two"); });
  EXPECT_THAT(names_in(folder / "x"), ElementsAre("c"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("x"));
}

TEST(LinkFolder, KeepsWhatTheFolderHeldWhenItsFilesAreReplaced) {
  const TemporaryFolder folder;
  const auto write = [&](const char* text) {
    write_folder_atomically(folder / "x",
                            [&](const fs::path& temporary) { write_two_files(temporary, text); });
  };
  write("one");
  link_folder(folder / "x", folder / "kept");
  EXPECT_TRUE(fs::equivalent(folder / "x/sub/b", folder / "kept/sub/b"));  // no bytes were copied
  write("two");
  EXPECT_EQ(read_file(folder / "kept/sub/b"), "one");
  link_folder(folder / "x", folder / "kept");
  EXPECT_EQ(read_file(folder / "kept/sub/b"), "two");
  EXPECT_THROW(link_folder(folder / "absent", folder / "kept"), IoError);
  EXPECT_EQ(read_file(folder / "kept/sub/b"), "two");
}

TEST(WriteFolderAtomically, WhenFillingFailsTheOlderOneStays) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "x", [](const fs::path& temporary) { write_two_files(temporary, "one"); });
  const auto fail = [](const fs::path& temporary) {
    write_two_files(temporary, "two");
    throw DataError("no luck");
  };
  EXPECT_THROW(write_folder_atomically(folder / "x", fail), DataError);
  EXPECT_THROW(write_folder_atomically(folder / "y", fail), DataError);
  EXPECT_EQ(read_file(folder / "x/a"), "one");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("x"));
}

TEST(WriteFolderAtomically, AProcessKilledWhileFillingLeavesTheOlderOne) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "x", [](const fs::path& temporary) { write_two_files(temporary, "one"); });
  const auto die = [](const fs::path& temporary) {
    write_two_files(temporary, "two");
    std::_Exit(3);
  };
  EXPECT_EXIT(write_folder_atomically(folder / "x", die), testing::ExitedWithCode(3), "");
  EXPECT_EQ(read_file(folder / "x/a"), "one");
  EXPECT_EQ(read_file(folder / "x/sub/b"), "one");
}

TEST(WriteFolderAtomically, AFileInTheWayIsAnErrorAndStays) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "a file");
  EXPECT_THAT([&] { write_folder_atomically(folder / "x", [](const fs::path&) {}); },
              ThrowsMessage<IoError>(EndsWith("x: is a file; expected a folder or nothing there")));
  EXPECT_EQ(read_file(folder / "x"), "a file");
}

TEST(WriteFolderAtomically, AFullDiskLeavesTheOlderOneAndNoRubbish) {
  const TemporaryFolder folder;
  const TinyDisk disk(folder.path(), "size=64k");
  if (!disk.mounted()) GTEST_SKIP() << "needs permission to mount a tmpfs";
  write_folder_atomically(folder / "x", [](const fs::path& temporary) { write_two_files(temporary, "one"); });
  const auto fill_too_much = [](const fs::path& temporary) {
    write_two_files(temporary, std::string(50'000, 'x'));
  };
  EXPECT_THROW(write_folder_atomically(folder / "x", fill_too_much), IoError);
  const auto fill_with_too_many = [](const fs::path& temporary) {
    for (int i = 0; i < 100'000; ++i) fs::create_directory(temporary / std::to_string(i));
  };
  const TinyDisk few_files(folder / "x/sub", "nr_inodes=20");
  EXPECT_THROW(write_folder_atomically(folder / "x/sub/y", fill_with_too_many), IoError);
  EXPECT_EQ(read_file(folder / "x/a"), "one");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("x"));
  EXPECT_THAT(names_in(folder / "x/sub"), IsEmpty());
}

/// From now on renameat2 fails as it does on file systems without it (NFS). For child processes of a test
/// only.
bool forbid_exchange() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(WriteFolderAtomically, ReplacesInTwoStepsWhereNamesCantBeExchanged) {
  const TemporaryFolder folder;
  constexpr int kNotPermitted = 4;
  const auto write_twice = [&] {
    if (!forbid_exchange()) std::_Exit(kNotPermitted);
    for (const char* text : {"one", "two"}) {
      write_folder_atomically(folder / "x",
                              [&](const fs::path& temporary) { write_two_files(temporary, text); });
    }
    std::_Exit(0);
  };
  const auto ended_well = [](int status) { return status == 0 || WEXITSTATUS(status) == kNotPermitted; };
  EXPECT_EXIT(write_twice(), ended_well, "");
  if (!fs::exists(folder / "x")) GTEST_SKIP() << "needs permission to filter system calls";
  EXPECT_EQ(read_file(folder / "x/sub/b"), "two");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("x"));
}

TEST(RemoveTemporaries, AFolderThatWasBeingReplacedGetsItsNameBack) {
  const TemporaryFolder folder;
  fs::create_directory(folder / ".best.old");
  write_file_atomically(folder / ".best.old/weights", "the former ones");
  fs::create_directory(folder / ".best.tmp-7-0");
  fs::create_directory(folder / "adapter");
  fs::create_directory(folder / ".adapter.old");
  fs::create_directory(folder / ".old");
  remove_temporaries(folder.path());
  EXPECT_EQ(read_file(folder / "best/weights"), "the former ones");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("adapter", "best"));
}

}  // namespace
}  // namespace excitor
