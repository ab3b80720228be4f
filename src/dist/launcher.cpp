#include <excitor/dist/launcher.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <excitor/util/files.h>
#include <excitor/util/log.h>

#include "grace.h"
#include "spawning.h"
#include "store.h"

namespace excitor {
namespace {

using std::chrono::steady_clock;

constexpr std::array kForwarded{SIGINT, SIGTERM, SIGUSR1};
/// In which processes that fail for the same reason end by themselves, each with its own words.
constexpr std::chrono::milliseconds kSettle{500};

/// One started process.
struct Child {
  int64_t rank = 0;
  pid_t process = 0;
  int words = -1;  ///< file in memory that its standard error goes to; -1: this process's
  std::optional<int> status;
};

/// SIGCHLD and the signals to pass on, blocked while it lives: they are waited for instead.
class WaitedSignals {
 public:
  WaitedSignals() {
    sigemptyset(&waited_);
    sigaddset(&waited_, SIGCHLD);
    for (const int number : kForwarded) sigaddset(&waited_, number);
    sigprocmask(SIG_BLOCK, &waited_, &former_);
  }
  ~WaitedSignals() { sigprocmask(SIG_SETMASK, &former_, nullptr); }
  WaitedSignals(const WaitedSignals&) = delete;
  WaitedSignals& operator=(const WaitedSignals&) = delete;

  const sigset_t& former() const { return former_; }
  /// The next signal, or 0 after a tenth of a second.
  int next() const {
    const timespec limit{.tv_sec = 0, .tv_nsec = 100'000'000};
    return std::max(0, sigtimedwait(&waited_, nullptr, &limit));
  }

 private:
  sigset_t waited_{}, former_{};
};

std::vector<std::string> own_arguments() {
  const std::string text = read_file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (size_t begin = 0, end; (end = text.find('\0', begin)) != std::string::npos; begin = end + 1)
    arguments.push_back(text.substr(begin, end - begin));
  return arguments;
}

std::vector<std::string> variables_of(int64_t rank, int64_t size, int64_t port) {
  std::vector<std::string> variables{fmt::format("RANK={}", rank),
                                     fmt::format("WORLD_SIZE={}", size),
                                     fmt::format("LOCAL_RANK={}", rank),
                                     fmt::format("LOCAL_WORLD_SIZE={}", size),
                                     "MASTER_ADDR=127.0.0.1",
                                     fmt::format("MASTER_PORT={}", port),
                                     "TORCHELASTIC_USE_AGENT_STORE=True",
                                     fmt::format("TORCHELASTIC_RUN_ID={}", getpid()),
                                     "TORCHELASTIC_RESTART_COUNT=0",
                                     launcher_variable()};
  return environment_with(std::move(variables));
}

Child spawn(int64_t rank, std::vector<std::string> variables, const sigset_t& mask) {
  Child child{.rank = rank};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (rank > 0) {
    child.words = memfd_create("stderr", MFD_CLOEXEC);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, child.words, STDERR_FILENO);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: a terminal's Ctrl-C reaches the launcher alone, which passes it on once.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &mask);
  std::vector<std::string> arguments = own_arguments();
  const int error = posix_spawn(&child.process, "/proc/self/exe", &actions, &attributes,
                                pointers(arguments).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    throw CommunicationError(fmt::format("rank {} can't be started: {}", rank, std::strerror(error)));
  return child;
}

bool is_orderly(int status) {
  return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 128 + SIGINT ||
                               WEXITSTATUS(status) == 128 + SIGTERM);
}

/// True for one that SIGSTOP holds.
bool is_suspended(pid_t process) {
  const std::string stat = read_file(fmt::format("/proc/{}/stat", process));
  const size_t state = stat.rfind(')') + 2;
  return state < stat.size() && stat[state] == 'T';
}

/// The last 20 lines of what a process said.
std::string last_words(const Child& child) {
  if (child.words < 0) return {};
  const std::string text = read_file(fmt::format("/proc/self/fd/{}", child.words));
  size_t begin = text.size();
  for (int lines = 0; lines <= 20 && begin != 0 && begin != std::string::npos; ++lines)
    begin = text.rfind('\n', begin - 1);
  return text.substr(begin == std::string::npos ? 0 : begin);
}

/// The processes of one launch.
class Processes {
 public:
  Processes(int64_t count, std::chrono::milliseconds time_limit, const WaitedSignals& signals)
      : own_(keep_store()), time_limit_(time_limit) {
    notes_ = c10::make_intrusive<c10d::PrefixStore>(fmt::format("excitor/{}.0", getpid()), own_.store);
    try {
      for (int64_t rank = 0; rank < count; ++rank)
        children_.push_back(spawn(rank, variables_of(rank, count, own_.port), signals.former()));
    } catch (...) {
      send_all(SIGKILL);
      throw;
    }
  }
  ~Processes() {
    for (const Child& child : children_) {
      if (child.words >= 0) close(child.words);
    }
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  bool any_runs() const {
    return std::ranges::any_of(children_, [](const Child& c) { return !c.status; });
  }
  /// Passes on a signal that this process was sent.
  void forward(int number) {
    if (number != SIGUSR1) are_asked_to_stop_ = true;
    send_all(number);
  }
  /// Takes note of those that have ended.
  void reap() {
    for (Child& child : children_) {
      int status = 0;
      if (child.status || waitpid(child.process, &status, WNOHANG) != child.process) continue;
      child.status = status;
      if (is_orderly(status))
        orderly_code_ = std::max(orderly_code_, WEXITSTATUS(status));
      else if (!grace_)
        note_failure(child);
    }
  }
  /// After a failure: says what it was, asks the others to end, ends those that do not.
  void end_all() {
    if (!grace_) return;
    if (!reason_ && (steady_clock::now() - failed_at_ > kSettle || !any_runs())) tell();
    for (const Child& child : children_) {
      if (!child.status && !grace_->holds_for(state_of(child), steady_clock::now()))
        kill(child.process, SIGKILL);
    }
  }
  int exit_code() const {
    if (!reason_) return orderly_code_;
    const int status = children_[static_cast<size_t>(*reason_)].status.value_or(1 << 8);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
  }

 private:
  void send_all(int number) const {
    for (const Child& child : children_) {
      if (!child.status) kill(child.process, number);
    }
  }
  ProcessState state_of(const Child& child) const {
    const bool is_saving = has_note("saving", child) && notes_->get_to_str(key("saving", child)) == "1";
    return {.rank = child.rank, .is_suspended = is_suspended(child.process), .is_saving = is_saving};
  }
  void note_failure(const Child& child) {
    failed_at_ = steady_clock::now();
    grace_.emplace(failed_at_, time_limit_);
    first_failed_ = child.rank;
    // The others read it when they ask why their operation failed.
    if (!has_note("ended", child) && !has_note("failed", child))
      notes_->set(key("ended", child), how_it_ended(*child.status));
  }
  static std::string key(const char* kind, const Child& child) {
    return fmt::format("{}/{}", kind, child.rank);
  }
  bool has_note(const char* kind, const Child& child) const { return notes_->check({key(kind, child)}); }
  /// The process that failed of itself: one that a signal ended, else one that told its reason, else the
  /// first.
  const Child& reason() const {
    const auto killed = [](const Child& c) { return c.status && WIFSIGNALED(*c.status); };
    const auto told = [this](const Child& c) { return has_note("ended", c); };
    auto found = std::ranges::find_if(children_, killed);
    if (found == children_.end()) found = std::ranges::find_if(children_, told);
    return found == children_.end() ? children_[static_cast<size_t>(first_failed_)] : *found;
  }
  /// Rank 0's own words are on the terminal already.
  void tell() {
    const Child& child = reason();
    reason_ = child.rank;
    const int status = child.status.value_or(0);
    if (child.rank > 0 || (child.status && WIFSIGNALED(status))) {
      const std::string ended = child.status ? how_it_ended(status) : "it is about to end";
      log::error(
          fmt::format("rank {} (process {}): {}{}", child.rank, child.process, ended, last_words(child)));
    }
    // A second request to stop would end rank 0 in the middle of its checkpoint.
    if (!are_asked_to_stop_) send_all(SIGTERM);
  }

  OwnStore own_;
  StorePointer notes_;
  std::vector<Child> children_;
  std::chrono::milliseconds time_limit_;
  bool are_asked_to_stop_ = false;  ///< by a signal that was passed on
  steady_clock::time_point failed_at_;
  std::optional<Grace> grace_;  ///< once one has failed
  int64_t first_failed_ = 0;
  std::optional<int64_t> reason_;  ///< rank of the process that is the reason, once it is told
  int orderly_code_ = 0;
};

}  // namespace

int launch(int64_t processes, std::chrono::milliseconds time_limit) {
  const WaitedSignals signals;  // before the store's thread starts, which then leaves them to this one
  Processes children(processes, time_limit, signals);
  while (children.any_runs()) {
    const int number = signals.next();
    if (number != 0 && number != SIGCHLD) children.forward(number);
    children.reap();
    children.end_all();
  }
  children.end_all();
  return children.exit_code();
}

void end_with_launcher() {
  const char* launcher = launcher_process();
  if (launcher == nullptr) return;
  // Not PR_SET_PDEATHSIG: of a launcher with several threads it comes once or twice, and a second SIGTERM
  // ends a process without a checkpoint.
  const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0));
  if (std::to_string(getppid()) != launcher) raise(SIGTERM);  // it died before
  if (descriptor < 0) return;                                 // a kernel before 5.3
  std::thread([descriptor] {
    pollfd ended{.fd = descriptor, .events = POLLIN, .revents = 0};
    while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
    }
    kill(getpid(), SIGTERM);
  }).detach();
}

}  // namespace excitor
