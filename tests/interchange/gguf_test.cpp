#include <excitor/interchange/gguf.h>

#include <cstring>

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/interchange/adapter_terms.h>
#include <excitor/interchange/rotary_layout.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "interchange/test_adapters.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

/// Little-endian bytes of numbers and texts one after the other.
class Bytes {
 public:
  template <class Number>
  Bytes& number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(Number));
    return *this;
  }
  Bytes& text(const std::string& value) {
    number<uint64_t>(value.size());
    return raw(value);
  }
  Bytes& raw(const std::string& value) {
    bytes_ += value;
    return *this;
  }
  Bytes& pad(size_t multiple) {
    while (bytes_.size() % multiple != 0) bytes_ += '\0';
    return *this;
  }
  const std::string& get() const { return bytes_; }

 private:
  std::string bytes_;
};

TEST(GgufWriter, EveryByteIsTheFormats) {
  const TemporaryFolder folder;
  const at::Tensor first = at::arange(6, at::kFloat).view({2, 3}), second = at::arange(9, at::kFloat);
  write_gguf(folder / "x.gguf", {{"name", "a b"}, {"count", 7U}, {"alpha", 1.5F}},
             {{"first", first}, {"second", second}});
  Bytes expected;
  expected.raw("GGUF").number(3U).number<uint64_t>(2).number<uint64_t>(3);
  expected.text("name").number(8U).text("a b");
  expected.text("count").number(4U).number(7U);
  expected.text("alpha").number(6U).number(1.5F);
  // Dimensions with the fastest first; type 0 is F32; 24 bytes of the first tensor are padded to 32.
  expected.text("first").number(2U).number<uint64_t>(3).number<uint64_t>(2).number(0U).number<uint64_t>(0);
  expected.text("second").number(1U).number<uint64_t>(9).number(0U).number<uint64_t>(32);
  expected.pad(32);
  for (int i = 0; i < 6; ++i) expected.number(static_cast<float>(i));
  expected.pad(32);
  for (int i = 0; i < 9; ++i) expected.number(static_cast<float>(i));
  expected.pad(32);
  EXPECT_EQ(read_file(folder / "x.gguf"), expected.get());
}

TEST(GgufWriter, NamesAreUniqueAndShort) {
  const TemporaryFolder folder;
  const at::Tensor tensor = at::zeros({2});
  const auto write = [&](const std::vector<GgufValue>& values, const std::vector<NamedTensor>& tensors) {
    write_gguf(folder / "x.gguf", values, tensors);
  };
  EXPECT_THROW(write({{"a", 1U}, {"a", 2U}}, {}), std::logic_error);
  EXPECT_THROW(write({}, {{"a", tensor}, {"a", tensor}}), std::logic_error);
  EXPECT_THROW(write({}, {{std::string(64, 'a'), tensor}}), std::logic_error);
  EXPECT_THROW(write({}, {{"a", tensor.to(at::kHalf)}}), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.gguf"));
}

TEST(GgufNames, AreLlamaCpps) {
  EXPECT_EQ(gguf_weight_name(0, Projection::q), "blk.0.attn_q.weight");
  EXPECT_EQ(gguf_weight_name(31, Projection::o), "blk.31.attn_output.weight");
  EXPECT_EQ(gguf_weight_name(2, Projection::down), "blk.2.ffn_down.weight");
}

/// What stands behind a key or a name in a file.
template <class Number>
Number number_behind(const std::string& file, const std::string& text, size_t skipped) {
  const size_t at = file.find(text) + text.size() + skipped;
  Number value;
  std::memcpy(&value, file.data() + at, sizeof(Number));
  return value;
}

float exported_alpha(const std::string& settings) {
  const TemporaryFolder folder;
  export_gguf(folder / "x.gguf", test::random_adapter("lora", settings), test::tiny_config());
  return number_behind<float>(read_file(folder / "x.gguf"), "adapter.lora.alpha", sizeof(uint32_t));
}

TEST(GgufExport, OneAlphaStandsForAllModulesOrNone) {
  EXPECT_EQ(exported_alpha(R"({"r": 4, "lora_alpha": 6})"), 6);
  EXPECT_EQ(exported_alpha(R"({"r": 4, "lora_alpha": 6, "use_rslora": true})"), 12);  // alpha · sqrt(r)
  EXPECT_EQ(exported_alpha(R"({"r": 4, "lora_alpha": 6, "rank_pattern": {"q_proj": 2}})"), 6);
  EXPECT_EQ(exported_alpha(R"({"r": 4, "lora_alpha": 6, "alpha_pattern": {"q_proj": 2}})"), 0);
  EXPECT_EQ(exported_alpha(R"({"r": 4, "use_rslora": true, "rank_pattern": {"q_proj": 2}})"), 0);
}

TEST(GgufExport, AnAdapterThatIsNotLoraIsRefused) {
  const TemporaryFolder folder;
  const LoadedAdapter adapter = test::random_adapter("excitor", R"({"adapter_layers": 2})");
  EXPECT_THROW(export_gguf(folder / "x.gguf", adapter, test::tiny_config()), UsageError);
}

}  // namespace
}  // namespace excitor
