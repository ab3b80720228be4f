// Random damage to a valid file: each result is a CheckpointError or a file whose every tensor can be read.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>

#include "tensor/safetensors_files.h"

namespace excitor {
namespace {

using namespace test;

std::string rich_file() {
  const std::string header =
      R"({"__metadata__":{"format":"pt","rank":"8"},"model.norm.weight":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},)"
      R"("lm_head":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"empty":{"dtype":"I8","shape":[0,7],)"
      R"("data_offsets":[32,32]},"scalar":{"dtype":"BOOL","shape":[],"data_offsets":[32,33]}})";
  return safetensors_bytes(header, std::string(33, '\x01'));
}

/// One of: a flipped bit, a replaced byte, a digit or a piece of syntax in a place where it matters, a cut, a
/// doubled or a removed range.
void damage(std::string& bytes, std::mt19937_64& random) {
  static constexpr std::string_view kSyntax = "0123456789-.eE[]{}\",:tfn\\ \x80\xff";
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  if (bytes.empty()) return;
  const size_t place = below(bytes.size());
  switch (below(6)) {
    case 0:
      bytes[place] = static_cast<char>(bytes[place] ^ (1 << below(8)));
      break;
    case 1:
      bytes[place] = static_cast<char>(below(256));
      break;
    case 2:
      bytes[place] = kSyntax[below(kSyntax.size())];
      break;
    case 3:
      bytes.resize(place);
      break;
    case 4:
      bytes.insert(place, bytes.substr(place, 1 + below(30)));
      break;
    case 5:
      bytes.erase(place, 1 + below(30));
      break;
  }
}

/// Keeps the length before the header right after an insertion or a removal, so that the damage lies behind
/// it.
void repair_length(std::string& bytes, size_t data_bytes) {
  if (bytes.size() >= 8 + data_bytes) bytes.replace(0, 8, length_prefix(bytes.size() - 8 - data_bytes));
}

/// Whether the file could be opened; reads every byte of every tensor then.
bool opens(const std::filesystem::path& path) {
  std::shared_ptr<const SafetensorsFile> file;
  try {
    file = SafetensorsFile::open(path);
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find(path.filename().string()), std::string::npos) << error.what();
    return false;
  }
  unsigned sum = 0;
  for (const auto& [name, stored] : file->tensors()) {
    for (const std::byte byte : file->bytes(name)) sum += static_cast<unsigned>(byte);
    if (stored.dtype.starts_with("F6") || stored.dtype.starts_with("F4")) continue;
    EXPECT_EQ(file->load(name).nbytes(), stored.end - stored.begin);
  }
  return sum < ~0U;
}

TEST(SafetensorsDamage, TwoThousandDamagedFilesAreRejectedOrReadable) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "damaged.safetensors";
  std::mt19937_64 random(20240229);
  int opened = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = rich_file();
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < changes; ++i) damage(bytes, random);
    if (round % 2 == 0) repair_length(bytes, 33);
    write_bytes(path, bytes);
    SCOPED_TRACE(fmt::format("round {}", round));
    if (opens(path)) ++opened;
  }
  EXPECT_GT(opened, 20) << "most damage should not hit the first bytes only";
  EXPECT_LT(opened, 1000) << "most damage should be noticed";
}

TEST(SafetensorsDamage, EveryCutIsNoticed) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "cut.safetensors";
  const std::string bytes = rich_file();
  for (size_t length = 0; length < bytes.size(); ++length) {
    write_bytes(path, std::string_view(bytes).substr(0, length));
    EXPECT_FALSE(opens(path)) << length;
  }
}

}  // namespace
}  // namespace excitor
