#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <excitor/util/signals.h>

namespace excitor {
namespace {

TEST(StopSignals, TheFirstSignalIsRemembered) {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    const StopSignals signals;
    EXPECT_EQ(StopSignals::requested(), 0);
    raise(signal_number);
    EXPECT_EQ(StopSignals::requested(), signal_number);
  }
}

TEST(StopSignals, ASecondSignalEndsTheProcess) {
  for (const auto& [first, second] : {std::pair{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGTERM, SIGINT}}) {
    const pid_t child = fork();
    if (child == 0) {
      const StopSignals signals;
      raise(first);
      raise(second);
      std::_Exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), second);
  }
}

extern "C" void do_nothing(int) {}

TEST(StopSignals, TheFormerHandlersAreBackAfterwards) {
  struct sigaction mine {};
  mine.sa_handler = do_nothing;
  struct sigaction before {};
  sigaction(SIGTERM, &mine, &before);
  { const StopSignals signals; }
  struct sigaction after {};
  sigaction(SIGTERM, &before, &after);
  EXPECT_EQ(after.sa_handler, do_nothing);
}

}  // namespace
}  // namespace excitor
