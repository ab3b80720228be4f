// Other programs, run to their end without a shell.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace excitor {

struct ChildLimits {
  double seconds = 60;           ///< of the whole run; then it is killed
  size_t output_bytes = 65'536;  ///< that it may write to standard output; then it is killed
};

/// How a program ended.
struct ChildResult {
  enum class End { exited, killed_by_signal, out_of_time, too_much_output };
  End end = End::exited;
  int code = 0;        ///< exit code, or the signal's number
  std::string output;  ///< standard output, at most the limit
  std::string errors;  ///< the first 4 KiB of standard error
};

/// Runs command[0] (found as a shell would, by PATH) with the other words as its arguments: nothing is
/// expanded, standard input is empty, and none of our open files is passed on. Whatever it started itself is
/// killed with it at a limit. Throws IoError when it can't be started, Interrupted when this process was
/// asked to stop meanwhile.
ChildResult run_child(const std::vector<std::string>& command, const ChildLimits& limits);

/// The file that `name` would run: a path as it is, else the first executable file in PATH.
std::optional<std::filesystem::path> find_program(const std::string& name);

}  // namespace excitor
