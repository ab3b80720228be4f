#include <excitor/train/step_profile.h>

#include <cstdlib>
#include <exception>
#include <set>
#include <utility>

#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

std::set<ActivityType> activities() {
  std::set<ActivityType> all{ActivityType::CPU};
  if (at::hasCUDA()) all.insert(ActivityType::CUDA);
  return all;
}

}  // namespace

StepProfile::StepProfile(std::optional<ProfileSettings> steps, std::filesystem::path trace)
    : steps_(steps), trace_(std::move(trace)) {}

StepProfile::~StepProfile() {
  if (!recording_) return;
  try {
    profiler::disableProfiler();  // a step threw: its trace is not wanted
  } catch (const std::exception&) {
  }
}

void StepProfile::begin(int64_t step) {
  if (!steps_ || recording_ || step < steps_->first_step || step > steps_->last_step) return;
  setenv("KINETO_LOG_LEVEL", "99",
         /*overwrite=*/0);  // else it reports on standard error that a machine has no GPU
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  profiler::prepareProfiler(config, activities());
  profiler::enableProfiler(config, activities());
  recording_ = true;
}

bool StepProfile::end(int64_t step) {
  if (!recording_ || step < steps_->last_step) return false;
  recording_ = false;
  const auto result = profiler::disableProfiler();
  const std::filesystem::path temporary = trace_.string() + ".tmp";
  result->save(temporary.string());
  std::error_code error;
  std::filesystem::rename(temporary, trace_, error);
  if (error)
    throw IoError(fmt::format("{}: the trace can't be written: {}", trace_.string(), error.message()));
  return true;
}

}  // namespace excitor
