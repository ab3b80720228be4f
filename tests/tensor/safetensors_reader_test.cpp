#include <excitor/tensor/safetensors.h>

#include <chrono>
#include <utility>

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <excitor/util/error.h>

#include "tensor/safetensors_files.h"

namespace excitor {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;

class SafetensorsReader : public testing::Test {
 protected:
  std::shared_ptr<const SafetensorsFile> open(std::string_view bytes) {
    write_bytes(folder_ / "model.safetensors", bytes);
    return SafetensorsFile::open(folder_ / "model.safetensors");
  }
  /// The message with which a file of this header and this many data bytes is rejected.
  std::string rejection(std::string_view header, size_t data_bytes = 0) {
    return rejection_of_bytes(safetensors_bytes(header, std::string(data_bytes, '\0')));
  }
  std::string rejection_of_bytes(std::string_view bytes) {
    const std::string message = message_of<CheckpointError>([&] { open(bytes); });
    EXPECT_THAT(message, HasSubstr("model.safetensors"));
    return message;
  }
  TemporaryFolder folder_;
};

std::string entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
}

TEST_F(SafetensorsReader, ListsAndLoadsWhatTheFileHolds) {
  const auto file = open(valid_bytes());
  EXPECT_EQ(file->tensors().size(), 2U);
  EXPECT_TRUE(file->contains("a"));
  EXPECT_FALSE(file->contains("__metadata__"));
  EXPECT_EQ(file->metadata().at("format"), "pt");
  EXPECT_EQ(file->tensors().at("a").dtype, "F32");
  EXPECT_EQ(file->tensors().at("a").shape, std::vector<int64_t>{2});
  EXPECT_EQ(file->bytes("b").size(), 1U);
  EXPECT_TRUE(at::equal(file->load("a"), at::tensor({1.0F, 2.0F})));
  EXPECT_EQ(file->load("b").dim(), 0);
  EXPECT_EQ(file->load("b").item<int>(), 7);
}

TEST_F(SafetensorsReader, ATensorOutlivesTheFileObject) {
  const at::Tensor tensor = open(valid_bytes())->load("b");
  EXPECT_EQ(tensor.item<int>(), 7);
}

TEST_F(SafetensorsReader, AlignedDataIsSharedAndUnalignedDataIsCopied) {
  std::string header = entry("\"F32\"", "[1]", "[0,4]");
  for (const size_t length : {size_t{64}, size_t{65}}) {
    header.resize(length, ' ');
    const auto file = open(safetensors_bytes(header, std::string("\0\0\x80\x3f", 4)));
    EXPECT_EQ(file->load("w").item<float>(), 1.0F);
    EXPECT_EQ(file->load("w").const_data_ptr() == file->bytes("w").data(), length % 4 == 0);
  }
}

TEST_F(SafetensorsReader, AcceptsEmptyFilesEmptyTensorsAndAnyOrderOfKeys) {
  EXPECT_TRUE(open(safetensors_bytes("{}", ""))->tensors().empty());
  EXPECT_EQ(open(safetensors_bytes(entry("\"F32\"", "[0,3]", "[0,0]"), ""))->load("w").sizes(),
            (std::vector<int64_t>{0, 3}));
  const auto file = open(safetensors_bytes(
      R"( {"b":{"data_offsets":[2,3],"shape":[1],"dtype":"U8"},"z":{"data_offsets":[2,2],"shape":[0],"dtype":"U8"},)"
      R"("a":{"extra":[{"x":1}],"shape":[1,1],"dtype":"I16","data_offsets":[0,2]}}  )",
      std::string("\x05\0\x06", 3)));
  EXPECT_EQ(file->load("a").item<int>(), 5);
  EXPECT_EQ(file->load("b").item<int>(), 6);
}

TEST_F(SafetensorsReader, LoadsEveryTypeThatATenHas) {
  const std::vector<std::pair<std::string, at::ScalarType>> types{{"F64", at::kDouble},
                                                                  {"F32", at::kFloat},
                                                                  {"F16", at::kHalf},
                                                                  {"BF16", at::kBFloat16},
                                                                  {"I64", at::kLong},
                                                                  {"I32", at::kInt},
                                                                  {"I16", at::kShort},
                                                                  {"I8", at::kChar},
                                                                  {"U8", at::kByte},
                                                                  {"BOOL", at::kBool},
                                                                  {"U64", at::kUInt64},
                                                                  {"U32", at::kUInt32},
                                                                  {"U16", at::kUInt16},
                                                                  {"C64", at::kComplexFloat},
                                                                  {"F8_E4M3", at::kFloat8_e4m3fn},
                                                                  {"F8_E5M2", at::kFloat8_e5m2},
                                                                  {"F8_E8M0", at::kFloat8_e8m0fnu}};
  for (const auto& [name, type] : types) {
    const size_t bytes = 2 * c10::elementSize(type);
    const std::string header = entry("\"" + name + "\"", "[2]", fmt::format("[0,{}]", bytes));
    EXPECT_EQ(open(safetensors_bytes(header, std::string(bytes, '\0')))->load("w").scalar_type(), type)
        << name;
  }
}

TEST_F(SafetensorsReader, ListsTypesBelowAByteButDoesNotLoadThem) {
  const auto file = open(safetensors_bytes(entry("\"F4\"", "[4]", "[0,2]"), "ab"));
  EXPECT_EQ(file->tensors().at("w").dtype, "F4");
  EXPECT_EQ(file->bytes("w").size(), 2U);
  EXPECT_THAT(message_of<CheckpointError>([&] { file->load("w"); }),
              AllOf(HasSubstr("\"w\""), HasSubstr("F4")));
  EXPECT_THAT(rejection(entry("\"F4\"", "[3]", "[0,2]"), 2), HasSubstr("12 bits are not whole bytes"));
  EXPECT_THAT(rejection(entry("\"F6_E2M3\"", "[4]", "[0,4]"), 4), HasSubstr("need 3"));
}

TEST_F(SafetensorsReader, NamesATensorThatIsNotThere) {
  const auto file = open(valid_bytes());
  EXPECT_THAT(message_of<CheckpointError>([&] { file->load("c"); }),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("no tensor \"c\"")));
}

TEST_F(SafetensorsReader, AMissingFileIsAnIoError) {
  EXPECT_THROW(SafetensorsFile::open(folder_ / "absent.safetensors"), IoError);
}

TEST_F(SafetensorsReader, RejectsALengthThatCannotBe) {
  EXPECT_THAT(rejection_of_bytes(""), HasSubstr("0 bytes, expected at least 8"));
  EXPECT_THAT(rejection_of_bytes("1234567"), HasSubstr("7 bytes"));
  EXPECT_THAT(rejection_of_bytes(length_prefix(100'000'001) + "{}"), HasSubstr("at most 100000000"));
  EXPECT_THAT(rejection_of_bytes(length_prefix(~uint64_t{0}) + "{}"), HasSubstr("at most 100000000"));
  EXPECT_THAT(rejection_of_bytes(length_prefix(3) + "{}"),
              AllOf(HasSubstr("3 bytes long"), HasSubstr("download")));
  EXPECT_THAT(rejection_of_bytes("version https://git-lfs.github.com/spec/v1\noid"),
              HasSubstr("git lfs pull"));
}

TEST_F(SafetensorsReader, RejectsAHeaderThatIsNotAJsonObject) {
  for (const char* header : {"", "{", "[]", "null", "3", "{}{}", "{\"a\":}", "{\"\xff\":1}", "{'a':1}"}) {
    EXPECT_THAT(rejection(header), HasSubstr("header")) << header;
  }
  rejection(std::string("{}\0", 3));
  rejection(std::string(100'000, '['));
}

TEST_F(SafetensorsReader, RejectsDuplicateKeys) {
  const std::string tensor = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(rejection("{" + tensor + "," + tensor + "}", 1), HasSubstr("\"w\""));
  EXPECT_THAT(rejection(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("\"dtype\""));
  rejection(R"({"__metadata__":{},"__metadata__":{}})");
  rejection(R"({"__metadata__":{"a":"1","a":"2"}})");
}

TEST_F(SafetensorsReader, RejectsMetadataThatDoesNotMapStringsToStrings) {
  for (const char* metadata : {"null", "[]", "\"pt\"", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}"}) {
    EXPECT_THAT(rejection(fmt::format(R"({{"__metadata__":{}}})", metadata)), HasSubstr("__metadata__"))
        << metadata;
  }
}

TEST_F(SafetensorsReader, RejectsAnEntryWithoutItsThreeParts) {
  EXPECT_THAT(rejection(R"({"w":3})"), AllOf(HasSubstr("\"w\""), HasSubstr("expected an object")));
  EXPECT_THAT(rejection(R"({"w":{"shape":[],"data_offsets":[0,1]}})", 1), HasSubstr("dtype is missing"));
  EXPECT_THAT(rejection(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1), HasSubstr("shape is missing"));
  EXPECT_THAT(rejection(R"({"w":{"dtype":"U8","shape":[]}})", 1), HasSubstr("data_offsets is missing"));
}

TEST_F(SafetensorsReader, RejectsAnUnknownType) {
  EXPECT_THAT(rejection(entry("\"F33\"", "[1]", "[0,4]"), 4),
              AllOf(HasSubstr("\"w\""), HasSubstr("\"F33\"")));
  EXPECT_THAT(rejection(entry("\"f32\"", "[1]", "[0,4]"), 4), HasSubstr("unknown dtype"));
  EXPECT_THAT(rejection(entry("32", "[1]", "[0,4]"), 4), HasSubstr("expected a string"));
}

TEST_F(SafetensorsReader, RejectsShapesThatAreNotNonNegativeIntegers) {
  for (const char* shape : {"4", "null", "[-1]", "[1.0]", "[1e0]", "[\"1\"]", "[[1]]", "[null]", "[true]",
                            "[-0]", "[9223372036854775808]", "[18446744073709551616]"}) {
    EXPECT_THAT(rejection(entry("\"U8\"", shape, "[0,1]"), 1), AllOf(HasSubstr("\"w\""), HasSubstr("shape")))
        << shape;
  }
}

TEST_F(SafetensorsReader, RejectsOffsetsThatAreNotTwoNonNegativeIntegers) {
  for (const char* offsets : {"1", "{}", "[]", "[0]", "[0,1,1]", "[0,-1]", "[0,1.0]", "[\"0\",1]", "[0,null]",
                              "[0,18446744073709551616]"}) {
    EXPECT_THAT(rejection(entry("\"U8\"", "[1]", offsets), 1),
                AllOf(HasSubstr("\"w\""), HasSubstr("data_offsets")))
        << offsets;
  }
}

TEST_F(SafetensorsReader, RejectsDataThatEndsBeforeItBegins) {
  EXPECT_THAT(rejection(entry("\"U8\"", "[1]", "[1,0]"), 1),
              HasSubstr("ends at byte 0, before it begins at 1"));
}

TEST_F(SafetensorsReader, RejectsAnotherNumberOfBytesThanTypeAndShapeNeed) {
  EXPECT_THAT(
      rejection(entry("\"F32\"", "[2]", "[0,4]"), 4),
      AllOf(HasSubstr("4 bytes are stored"), HasSubstr("F32"), HasSubstr("[2]"), HasSubstr("need 8")));
  rejection(entry("\"F32\"", "[0]", "[0,4]"), 4);
  rejection(entry("\"F32\"", "[]", "[0,8]"), 8);
}

TEST_F(SafetensorsReader, RejectsSizesThatOverflow) {
  for (const char* shape : {"[4294967296,4294967296]", "[9223372036854775807,2]", "[9223372036854775807]",
                            "[0,4294967296,4294967296]", "[4611686018427387904,4,0]"}) {
    EXPECT_THAT(rejection(entry("\"F32\"", shape, "[0,0]")), HasSubstr("overflows")) << shape;
  }
}

TEST_F(SafetensorsReader, RejectsHolesOverlapsAndALateBegin) {
  const auto two = [](int begin, int end) {
    return fmt::format(R"({{"v":{{"dtype":"U8","shape":[2],"data_offsets":[0,2]}},)"
                       R"("w":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                       end - begin, begin, end);
  };
  EXPECT_NO_THROW(open(safetensors_bytes(two(2, 4), "abcd")));
  EXPECT_THAT(rejection(two(3, 4), 4),
              AllOf(HasSubstr("\"w\""), HasSubstr("begins at byte 3, expected 2"), HasSubstr("hole")));
  EXPECT_THAT(rejection(two(1, 4), 4), HasSubstr("overlaps"));
  EXPECT_THAT(rejection(two(0, 2), 2), HasSubstr("overlaps"));
  EXPECT_THAT(rejection(entry("\"U8\"", "[1]", "[1,2]"), 2), HasSubstr("begins at byte 1, expected 0"));
  EXPECT_THAT(rejection(entry("\"U8\"", "[0]", "[1,1]"), 1), HasSubstr("expected 0"));
}

TEST_F(SafetensorsReader, RejectsAFileThatIsCutOffOrTooLong) {
  const std::string bytes = valid_bytes();
  EXPECT_THAT(rejection_of_bytes(bytes.substr(0, bytes.size() - 1)),
              AllOf(HasSubstr("8 bytes of tensor data"), HasSubstr("describes 9"), HasSubstr("cut off"),
                    HasSubstr("download")));
  EXPECT_THAT(rejection_of_bytes(bytes + "x"), HasSubstr("bytes follow the last tensor"));
  EXPECT_THAT(rejection("{}", 1), HasSubstr("bytes follow"));
}

TEST_F(SafetensorsReader, EscapesAndShortensNamesInMessages) {
  const std::string message = rejection("{\"\\u001b[31m" + std::string(5000, 'x') + "\":1}");
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 1000U);
}

TEST_F(SafetensorsReader, OpensAFileOf300TensorsInMilliseconds) {
  std::string header = "{";
  for (int i = 0; i < 300; ++i) {
    header += fmt::format(
        R"({}"model.layers.{}.self_attn.q_proj.weight":{{"dtype":"F32","shape":[2,2],"data_offsets":[{},{}]}})",
        i == 0 ? "" : ",", i, 16 * i, 16 * i + 16);
  }
  const std::string bytes = safetensors_bytes(header + "}", std::string(16 * 300, '\0'));
  open(bytes);
  const auto start = std::chrono::steady_clock::now();
  SafetensorsFile::open(folder_ / "model.safetensors");
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  RecordProperty("microseconds", static_cast<int>(elapsed.count() * 1000));
  EXPECT_LT(elapsed.count(),
            100.0);  // 1 ms on an idle machine; the limit leaves room for sanitizers and neighbours
}

}  // namespace
}  // namespace excitor
