#include <excitor/device/device.h>

#include <dlfcn.h>

#include <charconv>
#include <string_view>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <torch/headeronly/version.h>

#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/version.h>

#include "gpu_driver.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModuleName = "libexcitor_cuda.so";

std::optional<fs::path> find_module() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return std::nullopt;
  for (const fs::path& folder : {program.parent_path(), program.parent_path() / ".." / "lib"}) {
    if (fs::exists(folder / kModuleName, error)) return (folder / kModuleName).lexically_normal();
  }
  return std::nullopt;
}

/// Why dlopen failed, in words: mostly that libraries of the CUDA wheels are not installed.
std::string load_problem(const fs::path& module, const std::string& reason) {
  if (reason.find("cannot open shared object file") == std::string::npos)
    return fmt::format("{} can't be loaded: {}; build it anew: scripts/build.sh", module.string(), reason);
  return fmt::format(
      "{} can't be loaded, as CUDA libraries that LibTorch uses are missing ({}); install them: "
      ".venv/bin/python -m pip install torch=={} (2.7 GB)",
      module.string(), reason, TORCH_VERSION);
}

std::string no_such_gpu(int64_t gpu, int64_t gpus) {
  return fmt::format("there is no GPU {}: this machine offers {}; they are numbered from 0", gpu, gpus);
}

}  // namespace

CudaState inspect_cuda() {
  const GpuDriver& driver = gpu_driver();
  CudaState state{
      .driver = driver.works, .gpus = driver.gpus, .module = find_module(), .problem = driver.problem};
  if (state.problem.empty() && !state.module) {
    state.problem = fmt::format(
        "this build has no CUDA module ({} beside the program); build it where CUDA's headers are "
        "(scripts/build.sh says what is missing), or compute with device \"cpu\"",
        kModuleName);
  }
  return state;
}

CudaModule& load_cuda_module() {
  const CudaState state = inspect_cuda();
  if (!state.problem.empty()) throw ConfigError(state.problem);
  // Never closed: ATen keeps what it registers.
  void* const library = dlopen(state.module->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw ConfigError(load_problem(*state.module, dlerror()));
  auto* const entry = reinterpret_cast<CudaModuleEntry*>(dlsym(library, kCudaModuleEntry));
  CudaModule* const module = entry == nullptr ? nullptr : entry(kVersion);
  if (module == nullptr) {
    throw ConfigError(
        fmt::format("{} belongs to another version of the program than this one ({}); build both anew: "
                    "scripts/build.sh",
                    state.module->string(), kVersion));
  }
  return *module;
}

ComputeDevice open_gpu(int64_t gpu) {
  const CudaState state = inspect_cuda();
  if (state.problem.empty() && gpu >= state.gpus) throw ConfigError(no_such_gpu(gpu, state.gpus));
  CudaModule& module = load_cuda_module();
  try {
    if (gpu >= module.gpus()) throw ConfigError(no_such_gpu(gpu, module.gpus()));
    module.use(gpu);
  } catch (const c10::Error& error) {
    throw ConfigError(fmt::format("GPU {} can't be used: {}; see what nvidia-smi says", gpu,
                                  error.what_without_backtrace()));
  }
  return {.device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu)), .cuda = &module};
}

ComputeDevice open_device(const std::string& name) {
  if (name == "cpu") return {};
  if (name == "cuda") return open_gpu(0);
  if (name == "auto") {
    const CudaState state = inspect_cuda();
    if (state.problem.empty()) return open_gpu(0);
    if (state.gpus > 0) log::warning(fmt::format("computing on the CPU: {}", state.problem));
    return {};
  }
  constexpr std::string_view kPrefix = "cuda:";
  int gpu = -1;
  const char* const end = name.data() + name.size();
  const bool numbered = name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
                        std::from_chars(name.data() + kPrefix.size(), end, gpu).ptr == end && gpu >= 0 &&
                        gpu < 128;
  if (!numbered)
    throw ConfigError(fmt::format("device \"{}\": expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", name));
  return open_gpu(gpu);
}

}  // namespace excitor
