// What the operating system knows of this process.
#pragma once

#include <cstdint>
#include <filesystem>

namespace excitor {

/// Largest resident memory of this process so far, in bytes.
int64_t peak_memory_bytes();

/// peak_memory_bytes() counts from here on, from what is resident now; where the kernel has no such thing
/// nothing happens.
void reset_peak_memory();

/// Memory that this process may still take: the system's, or less where its control group has a limit.
int64_t available_memory_bytes();

/// Processor cores, at least one each.
struct Cores {
  int64_t online = 1;   ///< of the machine
  int64_t allowed = 1;  ///< of those, what this process may run on (taskset, SLURM's and mpirun's binding)
  int64_t usable = 1;   ///< `allowed`, or fewer where the control group has a quota (a container's --cpus)
};
/// `control_group` holds the quota (cpu.max of version 2); a container sees its own there.
Cores count_cores(const std::filesystem::path& control_group = "/sys/fs/cgroup");

/// Seconds since this process was started (by the kernel's clock, so loading the program counts).
double seconds_since_process_start();

/// True when standard error is a terminal.
bool stderr_is_terminal();

}  // namespace excitor
