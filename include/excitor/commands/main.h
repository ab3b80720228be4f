// The program as a function: main() is one call.
#pragma once

namespace excitor {

/// Parses the command line, runs the subcommand and turns every error into one message and an exit code: 0
/// done, 1 failed while running, 2 wrong usage or configuration, 128 + n stopped by signal n after the state
/// was saved.
int run_program(int argc, char** argv);

}  // namespace excitor
