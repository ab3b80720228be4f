#include <excitor/dist/place.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

constexpr int64_t kMostProcesses = 1 << 20;
constexpr int64_t kFirstPort = 15'000;  ///< ports of jobs lie below those that the kernel deals out (32768)
constexpr int64_t kPorts = 16'000;

/// The variables of one way to start processes, read with one kind of error.
class Variables {
 public:
  Variables(const Environment& environment, std::string source)
      : environment_(environment), source_(std::move(source)) {}

  std::optional<int64_t> number(const std::string& name, int64_t most) const {
    const std::optional<std::string> text = environment_(name);
    if (!text) return std::nullopt;
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || value < 0 || value > most)
      throw ConfigError(fmt::format("{}: {}={} is not a number from 0 to {}", source_, name, *text, most));
    return value;
  }
  int64_t needed(const std::string& name, int64_t most = kMostProcesses) const {
    if (const auto value = number(name, most)) return *value;
    throw missing(name);
  }
  std::string text(const std::string& name) const {
    if (auto value = environment_(name); value && !value->empty()) return *value;
    throw missing(name);
  }
  const std::string& source() const { return source_; }

 private:
  ConfigError missing(const std::string& name) const {
    return ConfigError(
        fmt::format("{}: {} is not set; set all of them, or none to let excitor start the processes itself",
                    source_, name));
  }
  const Environment& environment_;
  std::string source_;
};

void check(const Place& p, const char* rank, const char* size, const char* local_rank,
           const char* local_size) {
  const auto refuse = [&](const char* a, int64_t x, const char* b, int64_t y, const char* rule) {
    throw ConfigError(
        fmt::format("{}: {}={} and {}={} contradict each other: {}", p.source, a, x, b, y, rule));
  };
  if (p.rank >= p.size) refuse(rank, p.rank, size, p.size, "ranks count from 0 to size - 1");
  if (p.local_rank >= p.local_size)
    refuse(local_rank, p.local_rank, local_size, p.local_size, "ranks count from 0 to size - 1");
  if (p.local_size > p.size)
    refuse(local_size, p.local_size, size, p.size, "a machine has no more processes than all have");
  if (p.local_rank > p.rank)
    refuse(local_rank, p.local_rank, rank, p.rank, "the rank on a machine is no higher than that among all");
}

std::optional<Place> from_torchrun(const Environment& environment) {
  const std::vector<std::string> names{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
  if (std::ranges::none_of(names, [&](const auto& name) { return environment(name).has_value(); }))
    return std::nullopt;
  const Variables variables(environment, "the variables of torchrun (RANK, WORLD_SIZE, MASTER_ADDR, …)");
  Place place{.rank = variables.needed("RANK"), .size = variables.needed("WORLD_SIZE")};
  place.source = variables.source();
  const auto local_size = variables.number("LOCAL_WORLD_SIZE", kMostProcesses);
  place.local_rank = local_size > 1 ? variables.needed("LOCAL_RANK")
                                    : variables.number("LOCAL_RANK", kMostProcesses).value_or(0);
  place.local_size = local_size.value_or(place.local_rank + 1);
  check(place, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
  if (place.size == 1) return std::nullopt;
  place.address = variables.text("MASTER_ADDR");
  place.port = variables.needed("MASTER_PORT", 65535);
  place.store_is_kept = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.run = environment("TORCHELASTIC_RUN_ID").value_or("") + "." +
              environment("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return place;
}

/// How many tasks run on this machine: returns the variable that told it.
const char* read_slurm_local_size(const Variables& variables, const Environment& environment, Place& place) {
  for (const char* name : {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}) {
    if (!environment(name)) continue;
    const std::string list = variables.text(name);
    const int64_t node = variables.needed("SLURM_NODEID");
    const std::optional<int64_t> tasks = tasks_on_node(list, node);
    if (!tasks) {
      throw ConfigError(
          fmt::format("{}: {}={} does not tell the tasks on machine {} (SLURM_NODEID); expected \"4(x2),3\"",
                      variables.source(), name, list, node));
    }
    place.local_size = *tasks;
    return name;
  }
  // Set only where somebody gave that option.
  place.local_size = variables.number("SLURM_NTASKS_PER_NODE", kMostProcesses).value_or(place.local_rank + 1);
  return "SLURM_NTASKS_PER_NODE";
}

std::optional<Place> from_slurm(const Environment& environment) {
  // A script of sbatch, which has a SLURM_PROCID too, is no step of srun's: what it starts is alone.
  if (!environment("SLURM_PROCID") || !environment("SLURM_STEP_ID")) return std::nullopt;
  const Variables variables(environment, "SLURM's variables");
  const char* size = environment("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  Place place{.rank = variables.needed("SLURM_PROCID"), .size = variables.needed(size)};
  if (place.size == 1) return std::nullopt;
  place.source = variables.source();
  place.local_rank = variables.needed("SLURM_LOCALID");
  const char* local_size = read_slurm_local_size(variables, environment, place);
  check(place, "SLURM_PROCID", size, "SLURM_LOCALID", local_size);
  const char* nodes = environment("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_NODELIST";
  place.address =
      environment("MASTER_ADDR") ? variables.text("MASTER_ADDR") : first_host(variables.text(nodes));
  const int64_t job = variables.needed("SLURM_JOB_ID", INT64_MAX / 128);
  const int64_t step = variables.needed("SLURM_STEP_ID", INT64_MAX / 128);
  place.port = variables.number("MASTER_PORT", 65535).value_or(kFirstPort + (job * 7 + step) % kPorts);
  place.run = fmt::format("{}.{}", job, step);
  place.cores_are_dealt = environment("SLURM_CPUS_PER_TASK").has_value();
  return place;
}

std::optional<Place> from_open_mpi(const Environment& environment) {
  if (!environment("OMPI_COMM_WORLD_RANK") && !environment("OMPI_COMM_WORLD_SIZE")) return std::nullopt;
  const Variables variables(environment, "Open MPI's variables");
  Place place{.rank = variables.needed("OMPI_COMM_WORLD_RANK"),
              .size = variables.needed("OMPI_COMM_WORLD_SIZE"),
              .local_rank = variables.needed("OMPI_COMM_WORLD_LOCAL_RANK"),
              .local_size = variables.needed("OMPI_COMM_WORLD_LOCAL_SIZE")};
  place.source = variables.source();
  check(place, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE");
  if (place.size == 1) return std::nullopt;
  if (place.local_size < place.size) place.address = variables.text("MASTER_ADDR");
  constexpr int64_t kDefaultPort = 29'500;
  place.port = variables.number("MASTER_PORT", 65535).value_or(kDefaultPort);
  place.cores_are_dealt =
      true;  // mpirun binds each process to cores, and where it does not, see threads_of()
  return place;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

std::optional<Place> place_from(const Environment& environment) {
  if (auto place = from_torchrun(environment)) return place;
  if (auto place = from_slurm(environment)) return place;
  return from_open_mpi(environment);
}

std::string first_host(const std::string& node_list) {
  const size_t open = node_list.find_first_of("[,");
  if (open == std::string::npos || node_list[open] == ',') return node_list.substr(0, open);
  const size_t end = node_list.find_first_of("-,]", open);
  if (end == std::string::npos) return node_list.substr(0, open);
  return node_list.substr(0, open) + node_list.substr(open + 1, end - open - 1);
}

std::optional<int64_t> tasks_on_node(const std::string& list, int64_t node) {
  int64_t before = 0;  // machines that the items so far tell of
  for (const char *at = list.data(), *end = at + list.size(); at < end; ++at) {
    int64_t tasks = 0, machines = 1;
    auto read = std::from_chars(at, end, tasks);
    if (read.ec != std::errc() || tasks < 1) return std::nullopt;
    if (std::string_view(read.ptr, end).starts_with("(x")) {
      read = std::from_chars(read.ptr + 2, end, machines);
      if (read.ec != std::errc() || machines < 1 || read.ptr == end || *read.ptr != ')') return std::nullopt;
      ++read.ptr;
    }
    if (read.ptr != end && *read.ptr != ',') return std::nullopt;
    before += machines;
    if (node < before) return tasks;
    at = read.ptr;
  }
  return std::nullopt;
}

int64_t threads_of(const Place& place, const Cores& cores) {
  if (place.cores_are_dealt && cores.allowed < cores.online) return cores.usable;
  return std::max<int64_t>(1, cores.usable / place.local_size);
}

}  // namespace excitor
