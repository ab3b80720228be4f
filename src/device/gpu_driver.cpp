#include "gpu_driver.h"

#include <dlfcn.h>

#include <cstdlib>

#include <fmt/format.h>

namespace excitor {
namespace {

// The driver's interface, which is stable: cuInit, cuDeviceGetCount and cuGetErrorString return 0 on success.
using Init = int(unsigned flags);
using DeviceGetCount = int(int* count);
using GetErrorString = int(int error, const char** text);
constexpr int kNoDevice = 100;  // CUDA_ERROR_NO_DEVICE

template <class Function>
Function* find_function(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

/// The driver's words for one of its errors.
std::string words_of(void* library, int error) {
  const char* text = nullptr;
  auto* const get = find_function<GetErrorString>(library, "cuGetErrorString");
  if (get == nullptr || get(error, &text) != 0 || text == nullptr) return fmt::format("error {}", error);
  return fmt::format("error {}, {}", error, text);
}

std::string no_gpu_words() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr)
    return "NVIDIA's driver finds no GPU; see what nvidia-smi says, or compute with device \"cpu\"";
  return fmt::format(
      "NVIDIA's driver offers no GPU with CUDA_VISIBLE_DEVICES=\"{}\"; unset it or name others", visible);
}

GpuDriver ask_driver() {
  GpuDriver driver;
  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    driver.problem = fmt::format(
        "there is no NVIDIA driver here ({}); install it (in a container: start it with --gpus all), or "
        "compute "
        "with device \"cpu\"",
        dlerror());
    return driver;
  }
  auto* const init = find_function<Init>(library, "cuInit");
  auto* const count = find_function<DeviceGetCount>(library, "cuDeviceGetCount");
  if (init == nullptr || count == nullptr) {
    driver.problem = "libcuda.so.1 is not NVIDIA's driver: it has no cuInit; install the driver anew";
    return driver;
  }
  int gpus = 0, error = init(0);
  if (error == 0) error = count(&gpus);
  if (error != 0 && error != kNoDevice) {
    driver.problem = fmt::format(
        "NVIDIA's driver does not start ({}); see what nvidia-smi says, or compute with device \"cpu\"",
        words_of(library, error));
    return driver;
  }
  driver.works = true;
  driver.gpus = gpus;
  if (gpus == 0) driver.problem = no_gpu_words();
  return driver;
}

}  // namespace

const GpuDriver& gpu_driver() {
  static const GpuDriver kDriver = ask_driver();
  return kDriver;
}

}  // namespace excitor
