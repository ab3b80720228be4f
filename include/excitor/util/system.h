// What the operating system knows of this process.
#pragma once

#include <cstdint>

namespace excitor {

/// Largest resident memory of this process so far, in bytes.
int64_t peak_memory_bytes();

/// peak_memory_bytes() counts from here on, from what is resident now; where the kernel has no such thing
/// nothing happens.
void reset_peak_memory();

/// Memory that this process may still take: the system's, or less where its control group has a limit.
int64_t available_memory_bytes();

/// Seconds since this process was started (by the kernel's clock, so loading the program counts).
double seconds_since_process_start();

/// True when standard error is a terminal.
bool stderr_is_terminal();

}  // namespace excitor
