// Which of many processes this one is: from the environment that torchrun, srun, mpirun or our launcher gives
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <excitor/util/system.h>

namespace excitor {

/// One of the processes that train one model together.
struct Place {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;  ///< among those on this machine; the index of its GPU
  int64_t local_size = 1;
  std::string address = "127.0.0.1";  ///< of the machine where the processes meet: that of rank 0
  int64_t port = 0;
  /// Somebody else (torchrun's agent, our launcher) keeps the store there; else rank 0 does.
  bool store_is_kept = false;
  /// Keeps runs apart that meet at one store: a restart by torchrun, another SLURM step.
  std::string run;
  std::string source;            ///< who gave it, for messages: "torchrun's variables"
  bool cores_are_dealt = false;  ///< the threads that may run here are this process's alone
};

/// An environment variable, or nothing where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// The place that the environment names; nothing when it names none, or a group of one process:
/// - RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK, LOCAL_WORLD_SIZE (torchrun, our launcher, by
/// hand;
///   the local ones may be left out when each machine has one process);
/// - SLURM_PROCID of a step that srun started, with SLURM_STEP_NUM_TASKS, SLURM_LOCALID, and the first host
/// of
///   SLURM_STEP_NODELIST; how many tasks share this machine from SLURM_STEP_TASKS_PER_NODE and SLURM_NODEID;
///   MASTER_ADDR and MASTER_PORT come before what follows from these;
/// - OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE; on
///   several machines with MASTER_ADDR.
/// Throws ConfigError, which names the variables, when some are missing, are no numbers or contradict each
/// other.
std::optional<Place> place_from(const Environment& environment);

/// "node001" of SLURM's "node[001-004,007],other".
std::string first_host(const std::string& node_list);

/// Tasks on machine `node`, counted from 0, of SLURM's "4(x2),3"; nothing where the text is none of these or
/// tells of fewer machines.
std::optional<int64_t> tasks_on_node(const std::string& list, int64_t node);

/// Threads for a process: the cores that it was dealt, else its share of those that all of this machine may
/// use, at least one.
int64_t threads_of(const Place& place, const Cores& cores);

}  // namespace excitor
