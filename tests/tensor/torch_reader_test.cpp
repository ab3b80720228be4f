// What torch files may hold, and every way in which one can be wrong. Files are built by hand; what torch
// itself writes is read in tests/python/test_torch_files.py.
#include <cstring>
#include <functional>
#include <random>

#include <ATen/ops/arange.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "tensor/safetensors_files.h"
#include "tensor/torch_files.h"

namespace excitor {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;

class TorchReader : public testing::Test {
 protected:
  TorchValue read(const std::string& bytes) {
    write_bytes(path_, bytes);
    return read_torch_file(path_);
  }
  TorchValue read_pickle(const std::string& operations) { return read(torch_bytes(operations)); }
  std::string refusal(const std::string& bytes) {
    return message_of<CheckpointError>([&] { read(bytes); });
  }
  std::string pickle_refusal(const std::string& operations) { return refusal(torch_bytes(operations)); }
  /// The refusal of an archive after `change`.
  std::string archive_refusal(const std::function<void(std::vector<ZipPart>&)>& change) {
    std::vector<ZipPart> parts = torch_parts(tensor());
    change(parts);
    return refusal(zip_bytes(parts));
  }
  std::string tensor_refusal(const TensorPickle& t) { return pickle_refusal(tensor(t)); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "a.pth";
};

TEST_F(TorchReader, SizesStridesAndOffsetsAreHonoured) {
  const at::Tensor six = at::arange(6, at::kFloat);
  EXPECT_TRUE(read_pickle(tensor()).tensor().equal(six.view({2, 3})));
  EXPECT_TRUE(read_pickle(tensor({.sizes = {3, 2}, .strides = {1, 3}})).tensor().equal(six.view({2, 3}).t()));
  EXPECT_TRUE(
      read_pickle(tensor({.offset = 4, .sizes = {2}, .strides = {1}})).tensor().equal(six.slice(0, 4)));
  EXPECT_TRUE(
      read_pickle(tensor({.offset = 5, .sizes = {4}, .strides = {0}})).tensor().equal(six[5].expand(4)));
  EXPECT_EQ(read_pickle(tensor({.offset = 3, .sizes = {}, .strides = {}})).tensor().item<float>(), 3);
  EXPECT_EQ(read_pickle(tensor({.offset = 9, .sizes = {0, 3}, .strides = {3, 1}})).tensor().numel(), 0);
}

TEST_F(TorchReader, TensorsThatShareAStorageShareItHere) {
  const TorchValue value =
      read_pickle("](" + tensor() + tensor({.offset = 1, .sizes = {2}, .strides = {1}}) + "e");
  EXPECT_TRUE(value.list()[0].tensor().is_alias_of(value.list()[1].tensor()));
}

TEST_F(TorchReader, TensorsOutliveTheFileAndItsValue) {
  at::Tensor kept = read_pickle(tensor()).tensor();
  std::filesystem::remove(path_);
  EXPECT_EQ(kept.sum().item<float>(), 15);
}

TEST_F(TorchReader, AnUnalignedStorageIsRead) {
  std::vector<ZipPart> parts = torch_parts(tensor());
  parts[1].name += "!";  // shifts the data by one byte
  for (int i = 0; i < 4; ++i) {
    parts[1].name += "!";
    EXPECT_EQ(read(zip_bytes(parts)).tensor().sum().item<float>(), 15);
  }
}

TEST_F(TorchReader, PlainValues) {
  EXPECT_TRUE(read_pickle("N").is_null());
  EXPECT_TRUE(read_pickle("\x88").boolean());
  EXPECT_EQ(read_pickle("J\xfe\xff\xff\xff").integer(), -2);
  EXPECT_EQ(read_pickle("\x8a\x01\xff").integer(), -1);
  EXPECT_EQ(read_pickle(std::string("\x8a\x00", 2)).integer(), 0);
  EXPECT_EQ(read_pickle(integer(INT64_MIN)).integer(), INT64_MIN);
  EXPECT_EQ(read_pickle(std::string("G\x3f\xf8\0\0\0\0\0\0", 9)).number(), 1.5);
  EXPECT_EQ(read_pickle(text("é")).string(), "é");
}

TEST_F(TorchReader, DictsKeepTheirOrderAndTheLastOfEqualKeys) {
  const TorchValue value = read_pickle("}(" + text("b") + "K\x01" + text("a") + "K\x02" + "K\x07" + "K\x03" +
                                       text("b") + "K\x04" + "u");
  ASSERT_EQ(value.dict().size(), 3U);
  EXPECT_EQ(value.dict()[0].first, "b");
  EXPECT_EQ(value.at("b").integer(), 4);
  EXPECT_EQ(value.at("7").integer(), 3);
  EXPECT_EQ(value.find("c"), nullptr);
}

TEST_F(TorchReader, MessagesNameThePlaceInTheFile) {
  const TorchValue value = read_pickle("}" + text("model") + "}" + text("w") + "K\x01" + "ss");
  EXPECT_THAT(message_of<CheckpointError>([&] { value.at("model").at("w").tensor(); }),
              HasSubstr(path_.string() + ": model: w: found the integer 1, expected a tensor"));
  EXPECT_THAT(message_of<CheckpointError>([&] { value.at("optimizer"); }),
              AllOf(HasSubstr("no \"optimizer\""), HasSubstr("\"model\"")));
}

TEST_F(TorchReader, Zip64) {
  EXPECT_EQ(read(zip_bytes(torch_parts(tensor()), true)).tensor().sum().item<float>(), 15);
}

// Hostile pickles

TEST_F(TorchReader, GlobalsThatAreNoWeightsAreNamedAndNotRun) {
  EXPECT_THAT(pickle_refusal("cos\nsystem\n(" + text("touch x") + "tR"),
              AllOf(HasSubstr("\"os.system\""), HasSubstr("nothing of it was run")));
  EXPECT_THAT(pickle_refusal("}(" + text("optimizer") + "}" + text("model") + "}" + text("args") +
                             "cargparse\nNamespace\n)\x81su"),
              AllOf(HasSubstr("argparse.Namespace"), HasSubstr("(optimizer, model, args)"),
                    HasSubstr("weights_only=False)[\"model\"]")));
  EXPECT_THAT(pickle_refusal(text("posix") + text("system") + "\x93"), HasSubstr("posix.system"));
  EXPECT_THAT(pickle_refusal("ctorch\nload\n"), HasSubstr("torch.load"));
}

TEST_F(TorchReader, AllowedNamesAreNotCalledWithAnything) {
  EXPECT_THAT(pickle_refusal("ctorch\nFloatStorage\n)R"), HasSubstr("is called"));
  EXPECT_THAT(pickle_refusal("ctorch._utils\n_rebuild_tensor_v2\n)R"), HasSubstr("lacks arguments"));
  EXPECT_THAT(pickle_refusal(text("x") + ")R"), HasSubstr("a call without a name"));
}

TEST_F(TorchReader, BrokenPicklesAreRefused) {
  for (const std::string operations : {"",
                                       "0",
                                       "e",
                                       "u",
                                       "t",
                                       "s",
                                       "a",
                                       "R",
                                       "b",
                                       "Q",
                                       "(",
                                       "]]",
                                       "h\x05",
                                       "q\x01",
                                       "X\xff\xff\xff\xff",
                                       "ctorch",
                                       "}(K\x01u",
                                       "K\x01(K\x01e",
                                       "\x8a\x09"
                                       "123456789",
                                       "U\x01\xff",
                                       "\x95"
                                       "123",
                                       "](N",
                                       "\x85",
                                       "\x93"}) {
    EXPECT_THAT(pickle_refusal(operations), HasSubstr("a.pth: its pickle is broken at byte")) << operations;
  }
  EXPECT_THAT(refusal(zip_bytes({{"a/data.pkl", ""}})), HasSubstr("broken at byte 0"));
  EXPECT_THAT(refusal(zip_bytes({{"a/data.pkl", "\x80\x09N."}})), HasSubstr("protocol 9"));
}

TEST_F(TorchReader, AValueInsideItselfIsRefused) {
  EXPECT_THAT(pickle_refusal("]q\x01"
                             "h\x01"
                             "a"),
              HasSubstr("holds itself"));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "]";
  EXPECT_THAT(pickle_refusal(deep + std::string(99'999, 'a')), HasSubstr("deeper than 64 levels"));
}

TEST_F(TorchReader, AMemoBombIsRefused) {
  std::string bomb = "]q" + number(0, 1);
  for (int level = 1; level < 40; ++level) {
    const std::string before = "h" + number(level - 1, 1);
    bomb += "](" + before + before + before + before + "eq" + number(level, 1);
  }
  EXPECT_THAT(pickle_refusal("(" + bomb + "t"), HasSubstr("more than 1000000 values"));
  std::string texts = "](" + text(std::string(1'000'000, 'x')) + "q" + number(0, 1);
  for (int i = 0; i < 1000; ++i) texts += "h" + number(0, 1);
  EXPECT_THAT(pickle_refusal(texts + "e"), HasSubstr("bytes of text"));
}

// Hostile tensors

TEST_F(TorchReader, TensorsBeyondTheirStorageAreRefused) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  for (const TensorPickle& t : std::vector<TensorPickle>{{.offset = 1},
                                                         {.offset = 6, .sizes = {1}, .strides = {1}},
                                                         {.sizes = {7}, .strides = {1}},
                                                         {.sizes = {2, 3}, .strides = {4, 1}},
                                                         {.sizes = {kHuge, 8}, .strides = {0, 1}},
                                                         {.sizes = {kHuge}, .strides = {kHuge}},
                                                         {.sizes = {2, 2}, .strides = {kHuge, kHuge}},
                                                         {.offset = INT64_MAX, .sizes = {2}, .strides = {1}},
                                                         {.sizes = {1 << 30}, .strides = {0}}}) {
    EXPECT_THAT(tensor_refusal(t), HasSubstr("do not fit its storage of 6 elements"));
  }
  EXPECT_THAT(tensor_refusal({.offset = -1}), HasSubstr("offset"));
  EXPECT_THAT(tensor_refusal({.sizes = {6}, .strides = {-1}}),
              HasSubstr("strides are not integers from 0 on"));
  EXPECT_THAT(tensor_refusal({.sizes = {-1}, .strides = {1}}), HasSubstr("sizes are not integers from 0 on"));
  EXPECT_THAT(tensor_refusal({.sizes = {6}, .strides = {1, 1}}), HasSubstr("1 sizes and 2 strides"));
}

TEST_F(TorchReader, StoragesOfAnotherSizeAreRefused) {
  EXPECT_THAT(tensor_refusal({.count = 5}), HasSubstr("has 24 bytes, expected 20"));
  EXPECT_THAT(tensor_refusal({.storage_type = "HalfStorage"}), HasSubstr("has 24 bytes, expected 12"));
  EXPECT_THAT(tensor_refusal({.count = -1}), HasSubstr("-1 elements"));
  EXPECT_THAT(tensor_refusal({.count = INT64_MAX}), HasSubstr("elements"));
  EXPECT_THAT(archive_refusal([](auto& parts) { parts.pop_back(); }),
              HasSubstr("lacks its storage \"a/data/0\""));
}

// Hostile archives

TEST_F(TorchReader, DamagedArchivesAreRefused) {
  EXPECT_THAT(archive_refusal([](auto& p) { p[0].crc = 1; }), HasSubstr("checksum of \"a/data.pkl\""));
  EXPECT_THAT(archive_refusal([](auto& p) { p[2].listed_bytes = 1'000'000; }), HasSubstr("cut off"));
  EXPECT_THAT(archive_refusal([](auto& p) { p[2].listed_bytes = 60; }), HasSubstr("overlaps"));
  EXPECT_THAT(archive_refusal([](auto& p) { p[2].offset = 3; }), HasSubstr("no header of \"a/data/0\""));
  EXPECT_THAT(archive_refusal([](auto& p) { p[2].method = 8; }), HasSubstr("deflate"));
  EXPECT_THAT(archive_refusal([](auto& p) { p[1].flags = 1; }), HasSubstr("encrypted"));
  EXPECT_THAT(archive_refusal([](auto& p) { p.push_back(p[2]); }), HasSubstr("two entries \"a/data/0\""));
  EXPECT_THAT(archive_refusal([](auto& p) { p[1].data = "big"; }), HasSubstr("byte order"));
  EXPECT_THAT(archive_refusal([](auto& p) { p[0].name = "data.pkl"; }), HasSubstr("without data.pkl"));
  EXPECT_THAT(archive_refusal([](auto& p) {
                p.push_back({"a/constants.pkl", "x"});
              }),
              HasSubstr("TorchScript"));
}

TEST_F(TorchReader, OtherFilesAreNamed) {
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("{}"), HasSubstr("is no file of torch.save"));
  EXPECT_THAT(refusal("\x80\x02}."), HasSubstr("a bare pickle"));
  EXPECT_THAT(refusal("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
}

TEST_F(TorchReader, AChecksumOfZeroWasNotComputed) {
  std::vector<ZipPart> parts = torch_parts(tensor());
  for (ZipPart& part : parts) part.crc = 0;
  EXPECT_EQ(read(zip_bytes(parts)).tensor().numel(), 6);
  EXPECT_NO_THROW(check_torch_file(path_));
}

TEST_F(TorchReader, ChecksumsOfDataAreComparedWhenAsked) {
  std::vector<ZipPart> parts = torch_parts(tensor());
  parts[2].crc = 1;
  EXPECT_EQ(read(zip_bytes(parts)).tensor().numel(), 6);
  EXPECT_THAT(message_of<CheckpointError>([&] { check_torch_file(path_); }),
              HasSubstr("checksum of \"a/data/0\""));
}

/// Reads every element of every tensor.
void touch(const TorchValue& value) {
  if (value.is_tensor()) value.tensor().clone();
  if (value.is_list()) {
    for (const TorchValue& item : value.list()) touch(item);
  }
  if (value.is_dict()) {
    for (const auto& [key, member] : value.dict()) touch(member);
  }
}

TEST_F(TorchReader, RandomDamageIsRefusedOrHarmless) {
  const std::string view = tensor({.offset = 2, .sizes = {2, 2}, .strides = {2, 1}});
  std::vector<ZipPart> parts =
      torch_parts("}(" + text("a") + tensor() + "q\x01" + text("b") + view + text("c") + "](K\x01h\x01Neu");
  parts[0].crc = 0;
  const std::string whole = zip_bytes(parts);
  ASSERT_EQ(read(whole).dict().size(), 3U);
  std::mt19937_64 random(1);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (uint64_t i = random() % 3 + 1; i > 0; --i) {
      const size_t at = random() % bytes.size();
      if (random() % 4 == 0)
        bytes[at] = static_cast<char>(random());
      else
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    }
    if (random() % 10 == 0) bytes.resize(random() % bytes.size());
    try {
      touch(read(bytes));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
}

}  // namespace
}  // namespace excitor
