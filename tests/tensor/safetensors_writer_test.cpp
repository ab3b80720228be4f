#include <excitor/tensor/safetensors.h>

#include <limits>
#include <stdexcept>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "tensor/safetensors_files.h"

namespace excitor {
namespace {

using namespace test;
using testing::HasSubstr;

TEST(SafetensorsWriter, WritesExactlyTheseBytes) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors",
                    {{"b", at::tensor({int8_t{7}, int8_t{-1}}, at::kChar)}, {"a", at::full({}, 1.0)}});
  std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"I8","shape":[2],"data_offsets":[4,6]}})";
  header.resize(3 * 64 - 8, ' ');
  EXPECT_EQ(read_bytes(folder / "x.safetensors"),
            safetensors_bytes(header, std::string("\0\0\x80\x3f\x07\xff", 6)));
}

TEST(SafetensorsWriter, EveryTypeComesBackBitForBitAndShared) {
  const TemporaryFolder folder;
  std::vector<NamedTensor> tensors;
  for (const auto type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kBFloat16,
                          at::kHalf, at::kFloat, at::kDouble}) {
    tensors.push_back({c10::toString(type), at::arange(15).to(type).view({3, 5})});
  }
  write_safetensors(folder / "x.safetensors", tensors);
  const auto file = SafetensorsFile::open(folder / "x.safetensors");
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor loaded = file->load(name);
    EXPECT_EQ(loaded.scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(loaded, tensor)) << name;
    EXPECT_EQ(loaded.const_data_ptr(), file->bytes(name).data()) << name << " is not aligned for its type";
  }
}

TEST(SafetensorsWriter, DataBeginsAtAMultipleOf64) {
  const TemporaryFolder folder;
  for (size_t length = 1; length < 80; length += 6) {
    write_safetensors(folder / "x.safetensors", {{std::string(length, 'n'), at::zeros({2})}});
    EXPECT_EQ((read_bytes(folder / "x.safetensors").size() - 8) % 64, 0U) << length;
  }
}

TEST(SafetensorsWriter, KeepsSpecialValuesViewsEmptyTensorsAndStrangeNames) {
  const TemporaryFolder folder;
  const at::Tensor special =
      at::tensor({std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(), -0.0F});
  const at::Tensor view = at::arange(12, at::kFloat).view({3, 4}).t().slice(0, 1, 3);
  const at::Tensor parameter = at::ones({2}).set_requires_grad(true);
  write_safetensors(
      folder / "x.safetensors",
      {{"special", special}, {"view", view}, {"empty", at::empty({0, 3})}, {"\"ä\\\n", parameter}});
  const auto file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_TRUE(at::equal(file->load("special").view(at::kInt), special.view(at::kInt)));
  EXPECT_TRUE(at::equal(file->load("view"), view));
  EXPECT_EQ(file->load("empty").sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_TRUE(at::equal(file->load("\"ä\\\n"), at::ones({2})));
}

TEST(SafetensorsWriter, MetadataComesBackAndFormatIsAdded) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", {}, {{"base", "a \"quoted\" name"}, {"rank", "8"}});
  const auto metadata = SafetensorsFile::open(folder / "x.safetensors")->metadata();
  EXPECT_EQ(metadata, (std::map<std::string, std::string>{
                          {"base", "a \"quoted\" name"}, {"format", "pt"}, {"rank", "8"}}));
  write_safetensors(folder / "x.safetensors", {}, {{"format", "np"}});
  EXPECT_EQ(SafetensorsFile::open(folder / "x.safetensors")->metadata().at("format"), "np");
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHoldAndLeavesTheOldFile) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  write_safetensors(path, {{"a", at::zeros({1})}});
  const std::string before = read_bytes(path);
  EXPECT_THROW(write_safetensors(path, {{"a", at::zeros({1})}, {"a", at::zeros({1})}}), std::logic_error);
  EXPECT_THROW(write_safetensors(path, {{"__metadata__", at::zeros({1})}}), std::logic_error);
  EXPECT_THROW(write_safetensors(path, {{"a", at::Tensor()}}), std::logic_error);
  EXPECT_THROW(write_safetensors(path, {{"a", at::zeros({1}, at::kComplexDouble)}}), std::logic_error);
  EXPECT_EQ(read_bytes(path), before);
}

TEST(SafetensorsWriter, AFolderThatIsNotThereIsAnIoError) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_safetensors(folder / "absent" / "x.safetensors", {{"a", at::zeros({1})}}), IoError);
}

std::vector<NamedTensor> five_tensors() {  // 40, 40, 40, 400 and 8 bytes
  return {{"e", at::full({10}, 1.0)},
          {"d", at::full({10}, 2.0)},
          {"c", at::full({10}, 3.0)},
          {"b", at::full({100}, 4.0)},
          {"a", at::full({2}, 5.0)}};
}

TEST(SafetensorsFolderWriter, OneFileHoldsWhatFits) {
  const TemporaryFolder folder;
  write_safetensors_folder(folder.path(), "model", five_tensors(), 528);
  EXPECT_TRUE(std::filesystem::exists(folder / "model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  EXPECT_EQ(SafetensorsFolder(folder.path(), "model").names().size(), 5U);
}

TEST(SafetensorsFolderWriter, ShardsTakeTensorsInOrderUntilTheyAreFull) {
  const TemporaryFolder folder;
  write_safetensors_folder(folder.path(), "model", five_tensors(), 100);
  const Json index = read_json_file(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 528);
  const SafetensorsFolder read(folder.path(), "model");
  EXPECT_EQ(read.file_of("e"), "model-00001-of-00004.safetensors");
  EXPECT_EQ(read.file_of("d"), "model-00001-of-00004.safetensors");
  EXPECT_EQ(read.file_of("c"), "model-00002-of-00004.safetensors");
  EXPECT_EQ(read.file_of("b"), "model-00003-of-00004.safetensors");  // larger than the limit: alone
  EXPECT_EQ(read.file_of("a"), "model-00004-of-00004.safetensors");
  for (const auto& [name, tensor] : five_tensors()) {
    EXPECT_TRUE(at::equal(read.load(name), tensor)) << name;
    EXPECT_EQ(index["weight_map"][name], read.file_of(name));
  }
}

TEST(SafetensorsFolderWriter, DoesNotLeaveTwoModelsInOneFolder) {
  const TemporaryFolder folder;
  write_safetensors_folder(folder.path(), "model", five_tensors(), 1000);
  EXPECT_THAT(message_of<CheckpointError>(
                  [&] { write_safetensors_folder(folder.path(), "model", five_tensors(), 100); }),
              HasSubstr("model.safetensors: this folder already holds"));
  const TemporaryFolder sharded;
  write_safetensors_folder(sharded.path(), "model", five_tensors(), 100);
  EXPECT_THROW(write_safetensors_folder(sharded.path(), "model", five_tensors(), 1000), CheckpointError);
}

TEST(SafetensorsFolderWriter, PlannedTensorsAreMadeOneAfterTheOther) {
  const TemporaryFolder folder;
  int made = 0;
  std::vector<PlannedTensor> planned;
  for (const auto& [name, tensor] : five_tensors()) {
    planned.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), [&made, tensor = tensor] {
                         ++made;
                         return tensor;
                       }});
  }
  write_safetensors_folder(folder.path(), "model", planned, 100);
  EXPECT_EQ(made, 5);
  const SafetensorsFolder read(folder.path(), "model");
  for (const auto& [name, tensor] : five_tensors()) EXPECT_TRUE(at::equal(read.load(name), tensor)) << name;
  planned[0].shape = {7};
  EXPECT_THROW(write_safetensors_folder(folder.path(), "other", planned, 1000), std::logic_error);
}

TEST(SafetensorsFolderWriter, AnEmptyModelIsAFileWithoutTensors) {
  const TemporaryFolder folder;
  write_safetensors_folder(folder.path(), "model", std::vector<NamedTensor>{}, 100);
  EXPECT_TRUE(SafetensorsFolder(folder.path(), "model").names().empty());
}

}  // namespace
}  // namespace excitor
