#include <excitor/util/signals.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace excitor {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGUSR1};

// A handler reaches nothing but globals; these are the only mutable ones.
std::atomic<int> requested_signal = 0;
std::atomic<bool> save_requested = false;
static_assert(std::atomic<int>::is_always_lock_free, "else a handler may not use it");
std::array<struct sigaction, kSignals.size()> former_actions;
/// Where handlers run. Generated code for matrix products uses the stack pointer as one more register: on the
/// stack that it then points to, the kernel would write the handler's frame over whatever lies there.
constexpr size_t kStackBytes = 64 << 10;  ///< a frame with AMX's registers takes 11 KiB
alignas(64) std::array<std::byte, kStackBytes> handler_stack;
int living = 0;  ///< objects of StopSignals; the first one installs, the last one restores

/// Only async-signal-safe calls. The raised signal is blocked until this returns; then its default action
/// ends us.
extern "C" void remember_or_end(int signal_number) {
  if (signal_number == SIGUSR1) {
    save_requested = true;
    return;
  }
  int none = 0;
  if (requested_signal.compare_exchange_strong(none, signal_number)) return;
  struct sigaction end {};
  end.sa_handler = SIG_DFL;
  sigaction(signal_number, &end, nullptr);
  raise(signal_number);
}

}  // namespace

namespace {

/// Of this thread, unless it has such a stack; a signal to the process goes to the first thread, if it can.
void use_handler_stack() {
  stack_t former{};
  sigaltstack(nullptr, &former);
  if ((former.ss_flags & SS_DISABLE) == 0) return;
  stack_t own{};
  own.ss_sp = handler_stack.data();
  own.ss_size = handler_stack.size();
  sigaltstack(&own, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  if (living++ > 0) return;
  use_handler_stack();
  requested_signal = 0;
  save_requested = false;
  struct sigaction action {};
  action.sa_handler = remember_or_end;
  action.sa_flags = SA_ONSTACK | SA_RESTART;  // reads and writes under way go on; the work polls requested()
  for (const int signal_number : kSignals) sigaddset(&action.sa_mask, signal_number);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &former_actions[i]);
}

StopSignals::~StopSignals() {
  if (--living > 0) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former_actions[i], nullptr);
  requested_signal = 0;
}

int StopSignals::requested() noexcept {
  return requested_signal;
}

bool StopSignals::take_save_request() noexcept {
  return save_requested.exchange(false);
}

}  // namespace excitor
