#include "spawning.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

extern char** environ;

namespace excitor {
namespace {

constexpr const char* kLauncherVariable = "EXCITOR_LAUNCHER";

}  // namespace

std::vector<std::string> environment_with(std::vector<std::string> variables) {
  const size_t own = variables.size();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const std::string_view name = variable.substr(0, variable.find('=') + 1);
    const bool is_replaced = std::any_of(variables.begin(), variables.begin() + static_cast<ptrdiff_t>(own),
                                         [&](const std::string& v) { return v.starts_with(name); });
    if (!is_replaced) variables.emplace_back(variable);
  }
  return variables;
}

std::string launcher_variable() {
  return fmt::format("{}={}", kLauncherVariable, getpid());
}

const char* launcher_process() {
  return std::getenv(kLauncherVariable);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string how_it_ended(int status) {
  if (WIFEXITED(status)) return fmt::format("it ended with exit code {}", WEXITSTATUS(status));
  const char* hint = WTERMSIG(status) == SIGKILL ? "; did memory run out?" : "";
  return fmt::format("it was ended by signal {} ({}{})", WTERMSIG(status), strsignal(WTERMSIG(status)), hint);
}

}  // namespace excitor
