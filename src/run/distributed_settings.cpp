// `distributed`: devices and processes.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/device/device.h>
#include <excitor/run/run_config.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

/// True for a list of GPUs: whole numbers, each once.
bool is_device_list(const Json& devices) {
  if (!devices.is_array() || devices.empty()) return false;
  std::set<int64_t> seen;
  return std::all_of(devices.begin(), devices.end(), [&](const Json& device) {
    return device.is_number_integer() && device.get<int64_t>() >= 0 &&
           seen.insert(device.get<int64_t>()).second;
  });
}

/// Says which of the GPUs that `devices` (a list or a number) asks for is not there.
void check_gpus(const Json& devices, Problems& problems) {
  const int64_t gpus = inspect_cuda().gpus;
  const auto asked = devices.is_array() ? devices.get<std::vector<int64_t>>()
                                        : std::vector<int64_t>{devices.get<int64_t>() - 1};
  const int64_t last = *std::ranges::max_element(asked);
  if (last < gpus) return;
  problems.add("distributed.devices",
               fmt::format("found {}: there is no GPU {} here; this machine offers {}, numbered from 0",
                           devices.dump(), last, gpus));
}

}  // namespace

void DistributedSettings::describe(Describer& d) {
  d.choice("device", device, {{"auto", "auto"}, {"cpu", "cpu"}, {"cuda", "cuda"}}, "Where to compute.");
  d.field("devices", devices,
          "Processes on this machine: a number, or a list of GPUs; auto: one a GPU, one on a CPU. Where "
          "torchrun, srun or mpirun start them, auto.");
  d.field("timeout_seconds", timeout_seconds,
          "Time that a process waits for the others before the run ends with a message that names the "
          "missing one.",
          Range{.minimum = 1, .maximum = 1e6});
  d.field("shard_base", shard_base,
          "Each of n processes holds 1/n of the frozen weights; a layer is gathered while the one before "
          "computes, and dropped after. Same results, less memory, more communication; nothing to do with "
          "one process.");
  d.field("gpu_memory_fraction", gpu_memory_fraction,
          "Share of its GPU's memory that a process may take; beyond it micro-batches are split as when "
          "memory runs "
          "out.",
          Range{.minimum = 0, .maximum = 1, .open_minimum = true});
}

std::optional<int64_t> DistributedSettings::processes() const {
  if (devices.is_number_integer()) return devices.get<int64_t>();
  if (devices.is_array()) return static_cast<int64_t>(devices.size());
  return std::nullopt;
}

int64_t DistributedSettings::processes_to_start() const {
  return processes().value_or(on_gpu() ? inspect_cuda().gpus : 1);
}

bool DistributedSettings::on_gpu() const {
  return device == "cuda" || (device == "auto" && inspect_cuda().problem.empty());
}

int64_t DistributedSettings::gpu_of(int64_t local_rank) const {
  return devices.is_array() ? devices.at(static_cast<size_t>(local_rank)).get<int64_t>() : local_rank;
}

void DistributedSettings::check(Problems& problems) const {
  const bool asks_for_gpu = device == "cuda";
  if (const std::string reason = asks_for_gpu ? inspect_cuda().problem : ""; !reason.empty())
    problems.add("distributed.device", reason);
  const bool is_number = devices.is_number_integer() && devices.get<int64_t>() >= 1;
  if (on_gpu() && (is_number || is_device_list(devices))) {
    if (inspect_cuda().problem.empty()) check_gpus(devices, problems);
  } else if (is_device_list(devices)) {
    problems.add(
        "distributed.devices",
        fmt::format("found {}: a list names GPUs, and there is none here; give a number of processes",
                    devices.dump()));
  } else if (devices != "auto" && !is_number) {
    problems.add("distributed.devices",
                 fmt::format("found {}, expected \"auto\", a number of processes from 1, or a list of GPUs "
                             "such as [0, 2]",
                             devices.dump()));
  }
}

}  // namespace excitor
