// Files that we write, read by ourselves; torch reads them in tests/python/test_torch_files.py.
#include <cstdlib>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "tensor/safetensors_files.h"

namespace excitor {
namespace {

using namespace test;

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kHalf,  at::kBFloat16, at::kDouble, at::kLong,
                                     at::kInt,   at::kShort, at::kChar,     at::kByte,   at::kBool};

/// One of everything.
TorchValue everything() {
  const at::Tensor base = at::arange(24, at::kFloat).view({4, 6});
  TorchValue types = TorchValue::empty_dict();
  for (const at::ScalarType type : kTypes) types.set(c10::toString(type), base.to(type));
  TorchValue value = TorchValue::empty_dict();
  value.set("types", types);
  value.set("whole", base);
  value.set("transposed", base.t());
  value.set("row", base[2]);
  value.set("expanded", base[0].expand({3, 6}));
  value.set("scalar", at::ones({}));
  value.set("empty", at::zeros({0, 3}));
  value.set("list", TorchValue::List{TorchValue(), true, false, -1, int64_t{1} << 40, 0.5, "é"});
  return value;
}

void expect_equal(const TorchValue& a, const TorchValue& b) {
  ASSERT_EQ(a.describe(), b.describe());
  if (a.is_tensor()) {
    EXPECT_TRUE(a.tensor().equal(b.tensor())) << a.place();
  }
  if (a.is_list()) {
    for (size_t i = 0; i < a.list().size(); ++i) expect_equal(a.list()[i], b.list()[i]);
  }
  if (!a.is_dict()) return;
  for (size_t i = 0; i < a.dict().size(); ++i) {
    EXPECT_EQ(a.dict()[i].first, b.dict()[i].first);
    expect_equal(a.dict()[i].second, b.dict()[i].second);
  }
}

TEST(TorchWriter, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  write_torch_file(folder / "a.pth", everything());
  check_torch_file(folder / "a.pth");
  expect_equal(read_torch_file(folder / "a.pth"), everything());
}

TEST(TorchWriter, StridesAreKeptAndStoragesWrittenOnce) {
  const TemporaryFolder folder;
  const at::Tensor base = at::arange(100'000, at::kFloat).view({400, 250});
  TorchValue value = TorchValue::empty_dict();
  value.set("a", base);
  value.set("b", base.t());
  value.set("c", base.slice(0, 3, 7));
  write_torch_file(folder / "a.pth", value);
  EXPECT_LT(std::filesystem::file_size(folder / "a.pth"), base.nbytes() + 2000);
  const TorchValue read = read_torch_file(folder / "a.pth");
  EXPECT_TRUE(read.at("a").tensor().is_alias_of(read.at("c").tensor()));
  EXPECT_EQ(read.at("b").tensor().strides(), base.t().strides());
}

TEST(TorchWriter, OnlyTheUsedPartOfAStorageIsWritten) {
  const TemporaryFolder folder;
  write_torch_file(folder / "a.pth", at::arange(100'000, at::kFloat).slice(0, 50'000, 50'010));
  EXPECT_LT(std::filesystem::file_size(folder / "a.pth"), 2000U);
  EXPECT_EQ(read_torch_file(folder / "a.pth").tensor()[0].item<float>(), 50'000);
}

TEST(TorchWriter, DataAreAlignedSoThatTheyStayMapped) {
  const TemporaryFolder folder;
  const TorchValue value = everything();
  write_torch_file(folder / "a.pth", value);
  const TorchValue read = read_torch_file(folder / "a.pth");
  for (const auto& [name, tensor] : read.at("types").dict())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.tensor().const_data_ptr()) % 64, 0U) << name;
}

TEST(TorchWriter, EqualValuesGiveEqualFiles) {
  const TemporaryFolder folder;
  write_torch_file(folder / "a.pth", everything());
  write_torch_file(folder / "b.pth", everything());
  EXPECT_EQ(read_bytes(folder / "a.pth"), read_bytes(folder / "b.pth"));
}

TEST(TorchWriter, RefusesWhatTorchWouldNotRead) {
  const TemporaryFolder folder;
  const auto path = folder / "a.pth";
  EXPECT_THROW(write_torch_file(path, at::Tensor()), std::logic_error);
  EXPECT_THROW(write_torch_file(path, at::zeros(2, at::kComplexFloat)), std::logic_error);
  EXPECT_THROW(write_torch_file(path, TorchValue::Dict{{"a", 1}, {"a", 2}}), std::logic_error);
  EXPECT_THROW(write_torch_file(path, "\xff"), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(path));
}

/// For tests/python/test_torch_files.py.
TEST(TorchWriter, WritesOneOfEverythingWhereItIsAsked) {
  const char* path = std::getenv("EXCITOR_WRITE_TORCH_FILE");
  if (path == nullptr) GTEST_SKIP() << "EXCITOR_WRITE_TORCH_FILE names no file";
  write_torch_file(path, everything());
}

}  // namespace
}  // namespace excitor
