#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <sys/syscall.h>
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

#ifdef __x86_64__
/// Matrix products do so: their generated code uses the stack pointer as one more register.
TEST(StopSignals, AHandlerWritesNothingWhereTheStackPointerPoints) {
  const StopSignals signals;
  std::string memory(64 << 10, 'x');
  char* const inside = memory.data() + memory.size() / 2;
  long result = SYS_kill;
  asm volatile("mov %%rsp, %%rbx; mov %[inside], %%rsp; syscall; mov %%rbx, %%rsp"
               : "+a"(result)
               : [inside] "r"(inside), "D"(getpid()), "S"(SIGTERM)
               : "rbx", "rcx", "r11", "memory");
  EXPECT_EQ(result, 0);
  EXPECT_EQ(StopSignals::requested(), SIGTERM);
  EXPECT_EQ(std::ranges::count(memory, 'x'), std::ssize(memory));
}
#endif

}  // namespace
}  // namespace excitor
