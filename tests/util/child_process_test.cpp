#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/child_process.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/signals.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using End = ChildResult::End;
using testing::HasSubstr;

/// Runs a script of the shell, which is one of the programs that there are everywhere.
ChildResult run_script(const std::string& script, const ChildLimits& limits = {}) {
  return run_child({"sh", "-c", script}, limits);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(ChildProcess, GivesOutputErrorsAndExitCode) {
  const ChildResult result = run_script("echo words; echo why >&2; exit 3");
  EXPECT_EQ(result.end, End::exited);
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.output, "words\n");
  EXPECT_EQ(result.errors, "why\n");
}

TEST(ChildProcess, ExpandsNothing) {
  EXPECT_EQ(run_child({"echo", "$HOME", "*", "a b", "`id`", ";", "'"}, {}).output, "$HOME * a b `id` ; '\n");
}

TEST(ChildProcess, HasNoInputAndNoFilesOfOurs) {
  const TemporaryFolder folder;
  std::ofstream(folder / "ours") << "secret";
  const std::ifstream open(folder / "ours");
  EXPECT_EQ(run_script("cat; ls /proc/self/fd").output, "0\n1\n2\n3\n");  // 3: the folder that ls reads
}

TEST(ChildProcess, EndsAtItsTimeWithAllThatItStarted) {
  const TemporaryFolder folder;
  const std::string file = (folder / "alive").string();
  const std::string script = "(sleep 1.2; touch " + file + ") & echo begun; sleep 60";
  ChildResult result;
  EXPECT_LT(seconds_of([&] { result = run_script(script, {.seconds = 0.7}); }), 5);
  EXPECT_EQ(result.end, End::out_of_time);
  EXPECT_EQ(result.output, "begun\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(900));
  EXPECT_FALSE(fs::exists(file));
}

TEST(ChildProcess, WhatItLeavesRunningDoesNotHoldUsUp) {
  EXPECT_LT(seconds_of([] { EXPECT_EQ(run_script("sleep 60 & echo done").output, "done\n"); }), 5);
}

TEST(ChildProcess, EndsWhenItWritesTooMuch) {
  const ChildResult endless = run_script("yes", {.output_bytes = 1000});
  EXPECT_EQ(endless.end, End::too_much_output);
  EXPECT_EQ(endless.output.size(), 1000u);
  EXPECT_EQ(run_script("printf 12345", {.output_bytes = 5}).end, End::exited);
  EXPECT_EQ(run_script("printf 123456", {.output_bytes = 5}).end, End::too_much_output);
}

TEST(ChildProcess, LongOutputArrivesWhole) {
  const ChildResult result =
      run_script("head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2",
                 {.output_bytes = 1'000'000});
  EXPECT_EQ(result.output, std::string(300'000, 'x'));
  EXPECT_EQ(result.errors, std::string(4096, 'y'));
}

TEST(ChildProcess, ASignalIsNotAnExitCode) {
  const ChildResult result = run_script("kill -SEGV $$");
  EXPECT_EQ(result.end, End::killed_by_signal);
  EXPECT_EQ(result.code, SIGSEGV);
}

TEST(ChildProcess, IgnoredSignalsWorkInIt) {
  const auto former = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(run_script("yes | head -1").output, "y\n");
  std::signal(SIGPIPE, former);
}

TEST(ChildProcess, ARequestToStopEndsIt) {
  const StopSignals signals;
  std::thread asks([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::raise(SIGTERM);
  });
  EXPECT_LT(seconds_of([] { EXPECT_THROW(run_script("sleep 60"), Interrupted); }), 5);
  asks.join();
}

TEST(ChildProcess, AProgramThatIsNotThereIsAnErrorWithItsName) {
  try {
    run_child({"no-such-program-at-all"}, {});
    FAIL();
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no-such-program-at-all"));
  }
}

TEST(ChildProcess, KeepsNoDescriptor) {
  const auto count = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = count();
  run_script("echo a");
  run_script("sleep 60", {.seconds = 0.05});
  EXPECT_EQ(count(), before);
}

TEST(FindProgram, LooksInPathUnlessANameIsAPath) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "tool", "#!/bin/sh\n");
  EXPECT_FALSE(find_program((folder / "tool").string()));  // not executable
  fs::permissions(folder / "tool", fs::perms::owner_all);
  EXPECT_EQ(find_program((folder / "tool").string()), folder / "tool");
  EXPECT_TRUE(find_program("sh"));
  EXPECT_FALSE(find_program("tool"));
  EXPECT_FALSE(find_program(folder.path().string()));
  EXPECT_FALSE(find_program(""));
}

}  // namespace
}  // namespace excitor
