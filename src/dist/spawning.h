// What starting further processes of this program has in common.
#pragma once

#include <string>
#include <vector>

namespace excitor {

/// The variables, and this process's own of other names.
std::vector<std::string> environment_with(std::vector<std::string> variables);
/// "NAME=process": a process that has it ends with this one, where it calls end_with_launcher().
std::string launcher_variable();
/// The process that started this one with launcher_variable(), or null.
const char* launcher_process();
/// argv or envp of `texts`, with the null at its end; valid as long as they are unchanged.
std::vector<char*> pointers(std::vector<std::string>& texts);
/// Of waitpid's status: "it ended with exit code 1", "it was ended by signal 9 (Killed; did memory run
/// out?)".
std::string how_it_ended(int status);

}  // namespace excitor
