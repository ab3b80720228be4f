// A record of everything that runs in some steps of a training run, by LibTorch's profiler (Kineto).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <excitor/train/train_settings.h>

namespace excitor {

/// Writes one trace, with operators of the CPU and kernels of the GPU, in the format that Perfetto and
/// chrome://tracing show. Call begin() before and end() after each step, in the thread that trains; the GPU
/// must be idle at end() for its last kernels to be in the trace.
class StepProfile {
 public:
  /// Without `steps` nothing is recorded.
  StepProfile(std::optional<ProfileSettings> steps, std::filesystem::path trace);
  ~StepProfile();
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;

  void begin(int64_t step);
  /// True when the last step of the range is done and the trace lies in its file. Throws IoError.
  bool end(int64_t step);
  bool is_recording() const { return recording_; }

 private:
  std::optional<ProfileSettings> steps_;
  std::filesystem::path trace_;
  bool recording_ = false;
};

}  // namespace excitor
