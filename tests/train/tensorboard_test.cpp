#include <excitor/train/tensorboard.h>

#include <gtest/gtest.h>

namespace excitor {
namespace {

std::string hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

TEST(TensorBoardRecord, VersionEventIsTheKnownBytes) {
  EXPECT_EQ(hex(tensorboard_record(tensorboard_version_event(1.7e9))),
            "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d");
}

TEST(TensorBoardRecord, ScalarEventIsTheKnownBytes) {
  EXPECT_EQ(hex(tensorboard_record(tensorboard_scalar_event(1.7e9 + 1, 300, "loss", 0.5f))),
            "1b000000000000001a0d9e130900004040fc54d94110ac022a0d0a0b0a046c6f7373150000003ff82968b1");
}

}  // namespace
}  // namespace excitor
