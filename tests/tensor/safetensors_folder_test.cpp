#include <excitor/tensor/safetensors.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>

#include <excitor/util/error.h>

#include "tensor/safetensors_files.h"

namespace excitor {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;

/// Two shards, "one" with a and b, "two" with c, and the index each test writes.
class SafetensorsFolderTest : public testing::Test {
 protected:
  SafetensorsFolderTest() {
    write_safetensors(folder_ / "one.safetensors", {{"a", at::full({2}, 1.0)}, {"b", at::full({2}, 2.0)}});
    write_safetensors(folder_ / "two.safetensors", {{"c", at::full({2}, 3.0)}});
  }
  void write_index(std::string_view json) { write_bytes(folder_ / "model.safetensors.index.json", json); }
  SafetensorsFolder open() { return {folder_.path(), "model"}; }
  std::string rejection(std::string_view index) {
    write_index(index);
    return message_of<CheckpointError>([&] { open(); });
  }
  TemporaryFolder folder_;
};

constexpr std::string_view kGoodIndex =
    R"({"metadata":{"total_size":24},"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}})";

TEST_F(SafetensorsFolderTest, FindsEachTensorInItsShard) {
  write_index(kGoodIndex);
  const SafetensorsFolder folder = open();
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(folder.file_of("b"), "one.safetensors");
  EXPECT_EQ(folder.file_of("c"), "two.safetensors");
  EXPECT_TRUE(at::equal(folder.load("c"), at::full({2}, 3.0)));
  EXPECT_EQ(folder.stored("c").dtype, "F32");
  EXPECT_EQ(folder.bytes("c").size(), 8U);
  EXPECT_TRUE(folder.contains("a"));
  EXPECT_FALSE(folder.contains("d"));
}

TEST_F(SafetensorsFolderTest, NamesFolderAndTensorWhenThereIsNoSuchTensor) {
  write_index(kGoodIndex);
  const SafetensorsFolder folder = open();
  EXPECT_THAT(message_of<CheckpointError>([&] { folder.load("d"); }),
              AllOf(HasSubstr(folder_.path().string()), HasSubstr("\"d\"")));
}

TEST_F(SafetensorsFolderTest, PrefersTheSingleFileToAnIndex) {
  write_index("not read");
  write_safetensors(folder_ / "model.safetensors", {{"x", at::full({2}, 9.0)}});
  EXPECT_EQ(open().names(), std::vector<std::string>{"x"});
}

TEST_F(SafetensorsFolderTest, IgnoresTensorsThatTheIndexDoesNotName) {
  write_index(R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_EQ(open().names(), std::vector<std::string>{"a"});
}

TEST_F(SafetensorsFolderTest, ListsTheWeightsThatAreThereInstead) {
  for (const char* name : {"pytorch_model.bin", "consolidated.00.pth", "README.md"})
    write_bytes(folder_ / name, "x");
  EXPECT_THAT(message_of<CheckpointError>([&] { open(); }),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("model.safetensors.index.json"),
                    HasSubstr("consolidated.00.pth, one.safetensors, pytorch_model.bin, two.safetensors"),
                    testing::Not(HasSubstr("README"))));
  const TemporaryFolder empty;
  EXPECT_THAT(message_of<CheckpointError>([&] { SafetensorsFolder(empty.path(), "model"); }),
              HasSubstr("no weights"));
}

TEST_F(SafetensorsFolderTest, NamesAFolderThatIsNotThere) {
  EXPECT_THAT(message_of<CheckpointError>([&] { SafetensorsFolder(folder_ / "absent", "model"); }),
              AllOf(HasSubstr("absent"), HasSubstr("no such folder")));
}

TEST_F(SafetensorsFolderTest, NamesAMissingShard) {
  EXPECT_THAT(rejection(R"({"weight_map":{"a":"one.safetensors","c":"three.safetensors"}})"),
              AllOf(HasSubstr("model.safetensors.index.json"), HasSubstr("three.safetensors is missing")));
}

TEST_F(SafetensorsFolderTest, NamesATensorThatItsShardDoesNotHold) {
  EXPECT_THAT(rejection(R"({"weight_map":{"a":"two.safetensors"}})"),
              AllOf(HasSubstr("\"a\""), HasSubstr("two.safetensors")));
}

TEST_F(SafetensorsFolderTest, RefusesATensorInTwoShards) {
  write_safetensors(folder_ / "two.safetensors", {{"b", at::full({2}, 0.0)}, {"c", at::full({2}, 3.0)}});
  EXPECT_THAT(rejection(kGoodIndex),
              AllOf(HasSubstr("\"b\""), HasSubstr("one.safetensors"), HasSubstr("two.safetensors")));
}

TEST_F(SafetensorsFolderTest, ADamagedShardIsNamed) {
  write_bytes(folder_ / "two.safetensors", "oops");
  EXPECT_THAT(rejection(kGoodIndex), HasSubstr("two.safetensors: 4 bytes"));
}

TEST_F(SafetensorsFolderTest, ShardsMustLieInTheFolderItself) {
  for (const char* shard : {"", ".", "..", "../one.safetensors", "/etc/passwd", "sub/one.safetensors",
                            "..\\\\one", "a\\u0000b"}) {
    EXPECT_THAT(rejection(std::string(R"({"weight_map":{"a":")") + shard + "\"}}"),
                HasSubstr("not a plain file name"))
        << shard;
  }
}

TEST_F(SafetensorsFolderTest, RefusesAnIndexThatIsNone) {
  for (const char* index :
       {"", "{", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})", R"({"weight_map":null})",
        R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})"}) {
    EXPECT_THAT(rejection(index), AllOf(HasSubstr("model.safetensors.index.json"), HasSubstr("download")))
        << index;
  }
}

}  // namespace
}  // namespace excitor
