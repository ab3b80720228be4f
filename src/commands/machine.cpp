#include "machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include <ATen/ops/ones.h>

#include <excitor/tensor/matmul.h>
#include <excitor/util/system.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The text after "key :" of the first such line in /proc/cpuinfo.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

bool Cpu::has(const std::string& instruction) const {
  return std::find(instructions.begin(), instructions.end(), std::pair(instruction, true)) !=
         instructions.end();
}

Cpu inspect_cpu() {
  std::istringstream words(cpuinfo("flags"));
  const std::set<std::string> flags(std::istream_iterator<std::string>(words), {});
  const Cores cores = count_cores();
  Cpu cpu{.model = cpuinfo("model name"), .cores = cores.online, .usable_cores = cores.usable};
  for (const char* name : {"avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16"})
    cpu.instructions.emplace_back(name, flags.contains(name));
  if (cpu.model.empty()) cpu.model = "unknown";
  return cpu;
}

Storage inspect_storage(const fs::path& path) {
  std::error_code error;
  const fs::space_info space = fs::space(path, error);
  return {.path = fs::absolute(path).lexically_normal().string(),
          .free_bytes = error ? 0 : static_cast<int64_t>(space.available)};
}

int64_t total_memory_bytes() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
}

std::vector<std::pair<std::string, std::optional<std::string>>> thread_environment() {
  std::vector<std::pair<std::string, std::optional<std::string>>> variables;
  for (const char* name : {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
                           "GOMP_CPU_AFFINITY", "OMP_PROC_BIND", "ONEDNN_MAX_CPU_ISA"}) {
    const char* value = std::getenv(name);
    variables.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
  }
  return variables;
}

MatmulRate measure_matmul(at::ScalarType type, double seconds) {
  constexpr int64_t kSize = 1024;
  const at::Tensor ones = at::ones({kSize, kSize}, type);
  at::Tensor product = matmul_nt(ones, ones);  // the first one prepares kernels and threads
  const bool correct = (product == static_cast<double>(kSize)).all().item<bool>();
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::chrono::duration<double> passed{};
  int64_t products = 0;
  for (; passed.count() < seconds; passed = Clock::now() - begin, ++products) product = matmul_nt(ones, ones);
  const double operations = 2.0 * kSize * kSize * kSize * static_cast<double>(products);
  return {.gflops = operations / passed.count() / 1e9, .correct = correct};
}

}  // namespace excitor
