#include <excitor/dist/worker_process.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <excitor/dist/communicator.h>

#include "spawning.h"

namespace excitor {
namespace {

/// The two ends of a pipe; what the new process does not get is closed in it.
struct Pipe {
  int read = -1, write = -1;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw CommunicationError(fmt::format("a process can't be started: {}", std::strerror(errno)));
  return {.read = ends[0], .write = ends[1]};
}

pid_t start(const WorkerRequest& request, const Pipe& input, const Pipe& answers, const Pipe& words) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers.write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, words.write, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> arguments{"excitor"};
  arguments.insert(arguments.end(), request.arguments.begin(), request.arguments.end());
  std::vector<std::string> variables = environment_with(request.variables);
  pid_t process = 0;
  const int error = posix_spawn(&process, "/proc/self/exe", &actions, &attributes, pointers(arguments).data(),
                                pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const int end : {input.read, answers.write, words.write}) close(end);
  if (error == 0) return process;
  for (const int end : {input.write, answers.read, words.read}) close(end);
  throw CommunicationError(fmt::format("a process can't be started: {}", std::strerror(error)));
}

}  // namespace

std::vector<std::string> LineReader::take() {
  std::array<char, 4096> buffer{};
  for (ssize_t size; !at_end_ && (size = read(descriptor_, buffer.data(), buffer.size())) != -1;) {
    at_end_ = size == 0;
    rest_.append(buffer.data(), static_cast<size_t>(size));
  }
  if (at_end_ && !rest_.empty() && rest_.back() != '\n') rest_ += '\n';
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(rest_.substr(begin, end - begin));
  rest_.erase(0, begin);
  return lines;
}

WorkerProcess::WorkerProcess(const WorkerRequest& request) {
  const Pipe input = make_pipe(), answers = make_pipe(), words = make_pipe();
  WorkerRequest own = request;
  own.variables.push_back(launcher_variable());
  process_ = start(own, input, answers, words);
  input_ = input.write;
  answers_ = LineReader(answers.read), words_ = LineReader(words.read);
  for (const int end : {answers.read, words.read}) fcntl(end, F_SETFL, O_NONBLOCK);
}

WorkerProcess::~WorkerProcess() {
  close_input();
  if (!status_) {
    send(SIGKILL);
    wait();
  }
  close(answers_.descriptor());
  close(words_.descriptor());
}

bool WorkerProcess::write_line(const std::string& line) const {
  const std::string whole = line + "\n";
  size_t written = 0;
  while (written < whole.size()) {
    const ssize_t size = write(input_, whole.data() + written, whole.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    written += static_cast<size_t>(size);
  }
  return true;
}

void WorkerProcess::close_input() {
  if (input_ >= 0) close(input_);
  input_ = -1;
}

void WorkerProcess::send(int signal_number) const {
  if (!status_) kill(process_, signal_number);
}

std::string WorkerProcess::wait() {
  int status = 0;
  while (!status_) {
    if (waitpid(process_, &status, 0) == process_ || errno != EINTR) status_ = status;
  }
  return how_it_ended(*status_);
}

}  // namespace excitor
