#include <excitor/util/child_process.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <excitor/util/error.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

constexpr size_t kErrorBytes = 4096;
constexpr int kPollMilliseconds = 50;  // how soon a request to stop is heard
constexpr int kEndMilliseconds = 2;    // how soon the end is seen once both streams are closed

[[noreturn]] void throw_system(const std::string& what, int error) {
  throw IoError(fmt::format("{}: {}", what, std::strerror(error)));
}

/// Both ends of a pipe, closed with it.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) throw_system("pipe", errno);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_end(int which) {
    if (ends_[which] >= 0) close(std::exchange(ends_[which], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// What posix_spawn is told besides the command.
class SpawnSettings {
 public:
  SpawnSettings(const Pipe& output, const Pipe& errors) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output.write_end(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, errors.write_end(), STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes_);
    // A group of its own, so that all of it can be killed; and the signals that we ignore mean again what
    // they mean.
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t signals;
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  pid_t start(const std::vector<std::string>& command) const {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    pid_t child = 0;
    const int error = posix_spawnp(&child, words[0], &files_, &attributes_, words.data(), environ);
    if (error != 0) throw_system(command[0] + ": cannot be started", error);
    return child;
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

/// A started program; it does not outlive this object.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  ~Child() {
    if (id_ > 0) kill_and_wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The status as waitpid() has it, once it has ended.
  std::optional<int> ended() {
    int status = 0;
    if (waitpid(id_, &status, WNOHANG) != id_) return {};
    kill(-id_, SIGKILL);  // what it left behind in its group
    id_ = 0;
    return status;
  }
  void kill_and_wait() {
    kill(-id_, SIGKILL);
    kill(id_, SIGKILL);
    int status = 0;
    while (waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = 0;
  }

 private:
  pid_t id_;
};

/// One of the two streams. What goes beyond `limit` is read and dropped.
class Stream {
 public:
  Stream(int file, size_t limit) : file_(file), limit_(limit) {}

  bool is_open() const { return open_; }
  bool is_too_long() const { return too_long_; }
  pollfd poll_entry() const { return {.fd = open_ ? file_ : -1, .events = POLLIN, .revents = 0}; }
  std::string take() { return std::move(text_); }

  void read_all() {
    std::array<char, 16'384> block;
    while (open_) {
      const ssize_t bytes = read(file_, block.data(), block.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) {
        open_ = errno == EAGAIN;
        return;
      }
      open_ = bytes > 0;
      const size_t room = limit_ - text_.size();
      too_long_ = too_long_ || static_cast<size_t>(bytes) > room;
      text_.append(block.data(), std::min<size_t>(bytes, room));
    }
  }

 private:
  int file_;
  size_t limit_;
  std::string text_;
  bool open_ = true;
  bool too_long_ = false;
};

/// Waits for the end, reading both streams, until a limit is reached.
ChildResult watch(Child& child, Stream& output, Stream& errors, const ChildLimits& limits) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<int> status;
  while (!status) {
    std::array<pollfd, 2> files{output.poll_entry(), errors.poll_entry()};
    const bool writes = output.is_open() || errors.is_open();
    poll(files.data(), files.size(), writes ? kPollMilliseconds : kEndMilliseconds);
    status = child.ended();  // before the last reading: nothing is written after it
    output.read_all();
    errors.read_all();
    if (StopSignals::requested() != 0) throw Interrupted("stopped", StopSignals::requested());
    if (output.is_too_long()) return {.end = ChildResult::End::too_much_output};
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (!status && taken.count() > limits.seconds) return {.end = ChildResult::End::out_of_time};
  }
  if (WIFSIGNALED(*status)) return {.end = ChildResult::End::killed_by_signal, .code = WTERMSIG(*status)};
  return {.code = WEXITSTATUS(*status)};
}

bool is_executable(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& command, const ChildLimits& limits) {
  Pipe output_pipe, errors_pipe;
  Child child(SpawnSettings(output_pipe, errors_pipe).start(command));
  output_pipe.close_end(1);
  errors_pipe.close_end(1);
  Stream output(output_pipe.read_end(), limits.output_bytes), errors(errors_pipe.read_end(), kErrorBytes);
  ChildResult result = watch(child, output, errors, limits);
  result.output = output.take();
  result.errors = errors.take();
  return result;
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos)
    return is_executable(name) ? std::optional<std::filesystem::path>(name) : std::nullopt;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto file = std::filesystem::path(folder.empty() ? "." : folder) / name;
    if (is_executable(file)) return file;
  }
  return {};
}

}  // namespace excitor
