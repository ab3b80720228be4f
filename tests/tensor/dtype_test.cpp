#include <excitor/tensor/dtype.h>

#include <gtest/gtest.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

TEST(Dtype, LongAndShortNamesMeanTheSameType) {
  EXPECT_EQ(parse_dtype("float32"), at::kFloat);
  EXPECT_EQ(parse_dtype("fp32"), at::kFloat);
  EXPECT_EQ(parse_dtype("bfloat16"), at::kBFloat16);
  EXPECT_EQ(parse_dtype("bf16"), at::kBFloat16);
  EXPECT_EQ(parse_dtype("float16"), at::kHalf);
  EXPECT_EQ(parse_dtype("fp16"), at::kHalf);
  EXPECT_EQ(parse_dtype("float64"), at::kDouble);
}

TEST(Dtype, ATypeWrittenIsATypeRead) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    EXPECT_EQ(parse_dtype(dtype_name(type)), type);
  }
}

TEST(Dtype, AnotherNameIsAConfigErrorThatListsTheNames) {
  try {
    parse_dtype("float31");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "unknown dtype \"float31\": expected float32, bfloat16, float16 or float64");
  }
  EXPECT_THROW(parse_dtype(""), ConfigError);
  EXPECT_THROW(parse_dtype("Float32"), ConfigError);
}

TEST(Dtype, TypesThatOnlyFilesHaveAreNamedToo) {
  EXPECT_EQ(dtype_name(at::kLong), "int64");
  EXPECT_EQ(dtype_name(at::kBool), "bool");
}

}  // namespace
}  // namespace excitor
