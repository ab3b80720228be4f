// A process of this program that takes orders line by line on its standard input and answers on its output.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace excitor {

/// Reads a file descriptor without waiting and hands out whole lines.
class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}
  /// The lines that have come since the last call. At the end of the file also the unfinished last one.
  std::vector<std::string> take();
  bool at_end() const { return at_end_; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  std::string rest_;
  bool at_end_ = false;
};

/// What the process is started with, beside this one's environment.
struct WorkerRequest {
  std::vector<std::string> arguments;  ///< after the program's name
  std::vector<std::string> variables;  ///< "NAME=value", in the place of this process's
};

/// It is in a process group of its own: a terminal's Ctrl-C does not reach it. When this process dies, one
/// that has called end_with_launcher() gets a SIGTERM.
class WorkerProcess {
 public:
  /// Throws CommunicationError when it can't be started.
  explicit WorkerProcess(const WorkerRequest& request);
  /// Ends it (SIGKILL) where it still runs.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// False when the process takes no more.
  bool write_line(const std::string& line) const;
  /// The end of its orders.
  void close_input();
  void send(int signal_number) const;
  /// What it answers, and what it says on standard error.
  LineReader& answers() { return answers_; }
  LineReader& words() { return words_; }
  /// Waits for its end; "it was ended by signal 9 (Killed; did memory run out?)".
  std::string wait();

 private:
  pid_t process_ = 0;
  int input_ = -1;
  LineReader answers_{-1}, words_{-1};
  std::optional<int> status_;
};

}  // namespace excitor
