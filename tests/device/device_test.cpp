// What `--device` and distributed.device name. Where the machine has a GPU the refusals can't be seen.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/device/device.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(const std::string& device) {
  try {
    open_device(device);
    return "none";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

bool has_gpu() {
  return inspect_cuda().gpus > 0;
}

TEST(Device, CpuNeedsNothing) {
  const ComputeDevice device = open_device("cpu");
  EXPECT_TRUE(device.device.is_cpu());
  EXPECT_EQ(device.cuda, nullptr);
}

TEST(Device, AutoIsTheCpuWithoutAGpu) {
  if (has_gpu()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_TRUE(open_device("auto").device.is_cpu());
}

TEST(Device, OtherWordsAreRefused) {
  for (const char* word :
       {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:128", "cuda:99999999999"})
    EXPECT_THAT(refusal_of(word), HasSubstr("expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"")) << word;
}

TEST(Device, AGpuThatIsNotThereIsRefusedWithTheReason) {
  const CudaState state = inspect_cuda();
  if (has_gpu()) {
    EXPECT_THAT(refusal_of("cuda:127"), HasSubstr("GPU"));
    return;
  }
  EXPECT_NE(state.problem, "");
  EXPECT_EQ(refusal_of("cuda"), state.problem);
  EXPECT_EQ(refusal_of("cuda:1"), state.problem);
  if (state.driver) return;
  EXPECT_THAT(state.problem, HasSubstr("NVIDIA")) << "the driver comes first among the reasons";
}

TEST(Device, TheStateIsTheSameWhenAskedAgain) {
  EXPECT_EQ(inspect_cuda().problem, inspect_cuda().problem);
  EXPECT_EQ(inspect_cuda().gpus, inspect_cuda().gpus);
}

}  // namespace
}  // namespace excitor
