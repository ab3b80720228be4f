// Many processes of this program on this machine, started and ended together.
#pragma once

#include <chrono>
#include <cstdint>

#include <excitor/dist/group.h>

namespace excitor {

/// Starts this program `processes` times with the arguments that it was started with and the variables that
/// place_from() reads, and waits for them. SIGINT, SIGTERM and SIGUSR1 are passed on to all. Rank 0 writes to
/// this process's outputs; of another one the last words are shown when it is the reason of a failure. When
/// one fails the others are asked to end (SIGTERM, unless a signal to stop was passed on) and ended (SIGKILL)
/// where they do not: rank 0 after `time_limit`, that of the group, and a minute, never while it saves.
///
/// Returns the exit code of the process that failed first (1 when a signal ended it), or that of an orderly
/// stop (130, 143), or 0. Throws CommunicationError when a process can't be started.
int launch(int64_t processes, std::chrono::milliseconds time_limit);

/// In a process that launch() started: sends this process a SIGTERM when the launcher dies, so that none is
/// left behind. Does nothing in others.
void end_with_launcher();

}  // namespace excitor
