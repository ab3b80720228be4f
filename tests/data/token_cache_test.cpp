// The cache of tokens: the same examples as in memory, whatever happened to files and folders.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

#include "data/data_test_support.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using test::shown;

/// A ByteTokenizer with a hash, as those of files have.
class HashedTokenizer : public Tokenizer {
 public:
  explicit HashedTokenizer(const std::string& hash, const std::string& additions = "") {
    sha256_ = hash;
    note_additions(additions);
  }
  std::vector<TokenId> encode(std::string_view text) const override { return bytes_.encode(text); }
  std::string decode(const std::vector<TokenId>& ids) const override { return bytes_.decode(ids); }
  std::string piece(TokenId id) const override { return bytes_.piece(id); }
  std::optional<TokenId> find_control(std::string_view) const override { return std::nullopt; }
  bool adds_leading_space() const override { return false; }
  int64_t vocab_size() const override { return bytes_.vocab_size(); }
  TokenId bos() const override { return bytes_.bos(); }
  TokenId eos() const override { return bytes_.eos(); }

 private:
  test::ByteTokenizer bytes_;
};

class TokenCacheTest : public testing::Test {
 protected:
  TokenCacheTest() {
    settings.cache_dir = (folder.path() / "cache").string();
    std::string rows;
    for (int i = 0; i < 3000; ++i)
      rows +=
          fmt::format("{{\"instruction\": \"n{}\", \"output\": \"{}\"}}\n", i, std::string(900 + i % 7, 'x'));
    data = folder.write("rows.jsonl", rows);  // 2.7 million tokens: two chunks
    settings.max_seq_length = 2048;
  }

  LoadedDataset load(const std::string& hash = "one", const std::string& additions = "") {
    return load_dataset({{.path = data.string()}}, settings, HashedTokenizer(hash, additions),
                        CacheUse::always);
  }
  std::vector<std::string> in_memory() {
    DataSettings plain = settings;
    plain.cache_dir = "none";
    return shown(*load_dataset({{.path = data.string()}}, plain, HashedTokenizer("one")).dataset);
  }
  /// The chunk files of the one folder that is there.
  std::vector<fs::path> chunks(const LoadedDataset& loaded) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(loaded.files.front().cache_folder)) {
      if (entry.path().extension() == ".bin") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
  }

  test::ScratchFolder folder;
  DataSettings settings = test::plain_settings();
  fs::path data;
};

TEST_F(TokenCacheTest, HoldsTheExamplesThatMemoryWould) {
  const LoadedDataset made = load();
  EXPECT_EQ(shown(*made.dataset), in_memory());
  EXPECT_FALSE(made.files.front().was_cached);
  EXPECT_EQ(chunks(made).size(), 2U);
  const LoadedDataset found = load();
  EXPECT_TRUE(found.files.front().was_cached);
  EXPECT_EQ(shown(*found.dataset), in_memory());
  EXPECT_EQ(found.report.json(), made.report.json());
  EXPECT_EQ(found.dataset->example(2999).origin, data.string() + ":3000");
  EXPECT_EQ(found.dataset->tokens(2999), made.dataset->tokens(2999));
  EXPECT_EQ(found.dataset->labels(2999), made.dataset->labels(2999));
}

TEST_F(TokenCacheTest, IsMissedByWhateverChangesTheTokens) {
  load();
  EXPECT_FALSE(load("another tokenizer").files.front().was_cached);
  EXPECT_FALSE(load("one", "a token that the folder adds").files.front().was_cached);
  settings.max_seq_length = 1536;
  EXPECT_FALSE(load().files.front().was_cached);
  settings.train_on_inputs = true;
  EXPECT_FALSE(load().files.front().was_cached);
  settings.prompt_template = "alpaca";
  EXPECT_FALSE(load().files.front().was_cached);
  settings.on_long_example = LongExamples::drop;
  EXPECT_FALSE(load().files.front().was_cached);
  std::ofstream(data, std::ios::app) << "{\"instruction\": \"a\", \"output\": \"b\"}\n";
  EXPECT_FALSE(load().files.front().was_cached);
  EXPECT_TRUE(load().files.front().was_cached);
}

TEST_F(TokenCacheTest, IsFoundForACopyOfTheFile) {
  load();
  const fs::path copy = folder.path() / "copy.jsonl";
  fs::copy_file(data, copy);
  const auto found = load_dataset({{.path = copy.string()}}, settings, HashedTokenizer("one"));
  EXPECT_TRUE(found.files.front().was_cached);
  EXPECT_EQ(found.dataset->example(0).origin, copy.string() + ":1");
}

TEST_F(TokenCacheTest, IsMadeAgainWhenDamaged) {
  const auto damage = [&](const std::function<void(const fs::path&)>& harm) {
    const auto first_chunk = chunks(load()).front();
    harm(first_chunk);
    const LoadedDataset again = load();
    EXPECT_FALSE(again.files.front().was_cached);
    EXPECT_EQ(shown(*again.dataset), in_memory());
  };
  damage([](const fs::path& chunk) { fs::resize_file(chunk, 1000); });
  damage([](const fs::path& chunk) { fs::remove(chunk); });
  damage([](const fs::path& chunk) {
    std::fstream file(chunk, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('\x55');
  });
  damage([](const fs::path& chunk) { std::ofstream(chunk.parent_path() / "manifest.json") << "{"; });
}

TEST_F(TokenCacheTest, IsGoneOnWithBehindTheLastWholeChunk) {
  const fs::path whole = load().files.front().cache_folder;
  const fs::path partial = whole.string() + ".partial";
  fs::rename(whole, partial);
  // As it is when the process ends between the first chunk and the second.
  Json manifest = read_json_file(partial / "manifest.json");
  manifest["complete"] = false;
  const int64_t first = manifest["chunks"][0]["examples"].get<int64_t>();
  manifest["chunks"].erase(1);
  manifest["sources"] = first;
  manifest["report"]["examples"] = first;
  std::ofstream(partial / "manifest.json") << manifest.dump();
  std::ofstream(partial / ".tokens-00001.bin.tmp-1") << "half";
  const auto first_time = fs::last_write_time(partial / "tokens-00000.bin");

  const LoadedDataset loaded = load();
  EXPECT_EQ(shown(*loaded.dataset), in_memory());
  EXPECT_EQ(loaded.report.examples, 3000);
  EXPECT_EQ(fs::last_write_time(whole / "tokens-00000.bin"), first_time);
  EXPECT_FALSE(fs::exists(whole / ".tokens-00001.bin.tmp-1"));
}

TEST_F(TokenCacheTest, IsSharedByLoadersAtTheSameTime) {
  const std::vector<std::string> expected = in_memory();
  std::vector<std::jthread> loaders;
  for (int i = 0; i < 3; ++i) loaders.emplace_back([&] { EXPECT_EQ(shown(*load().dataset), expected); });
  loaders.clear();
  EXPECT_TRUE(load().files.front().was_cached);
}

TEST_F(TokenCacheTest, OfOneFileIsNoMatterToAnother) {
  load();
  const auto text = folder.write("more.txt", "text");
  const auto both = load_dataset({{.path = text.string()}, {.path = data.string()}}, settings,
                                 HashedTokenizer("one"), CacheUse::always);
  EXPECT_FALSE(both.files[0].was_cached);
  EXPECT_TRUE(both.files[1].was_cached);
  EXPECT_EQ(shown(both.dataset->example(0)), "^[text$]");
  EXPECT_EQ(both.dataset->example(1).origin, data.string() + ":1");
}

TEST_F(TokenCacheTest, OutlivesTheDataFileAndItsOwnFolder) {
  const LoadedDataset loaded = load();
  const std::vector<std::string> expected = in_memory();
  fs::remove(data);
  fs::remove_all(settings.cache_dir);
  EXPECT_EQ(shown(*loaded.dataset), expected);
}

TEST_F(TokenCacheTest, ThatCannotBeWrittenIsNotNeeded) {
  settings.cache_dir = folder.write("a file", "").string();
  const auto loaded = load_dataset({{.path = data.string()}}, settings, HashedTokenizer("one"));
  EXPECT_EQ(loaded.files.front().cache_folder, "");
  EXPECT_EQ(loaded.dataset->size(), 3000);
  EXPECT_THROW(load(), IoError);
}

TEST_F(TokenCacheTest, IsNotMadeOfAFileWithBadRows) {
  std::ofstream(data, std::ios::app) << "{\"instruction\": \"a\"}\n";
  EXPECT_THROW(load(), DataError);
  for (const auto& entry : fs::directory_iterator(settings.cache_dir))
    EXPECT_EQ(entry.path().filename(), "files");
}

/// Somebody writes to the data while it is read.
class DisturbingTokenizer final : public HashedTokenizer {
 public:
  explicit DisturbingTokenizer(fs::path file) : HashedTokenizer("one"), file_(std::move(file)) {}
  std::vector<TokenId> encode(std::string_view text) const override {
    if (!written_.exchange(true)) std::ofstream(file_, std::ios::app) << "\n";
    return HashedTokenizer::encode(text);
  }

 private:
  fs::path file_;
  mutable std::atomic<bool> written_ = false;
};

TEST_F(TokenCacheTest, IsNotMadeOfAFileThatChangesMeanwhile) {
  for (const char* place : {settings.cache_dir.c_str(), "none"}) {
    DataSettings here = settings;
    here.cache_dir = place;
    EXPECT_THAT([&] { load_dataset({{.path = data.string()}}, here, DisturbingTokenizer(data)); },
                testing::ThrowsMessage<DataError>(testing::HasSubstr("changed while it was read")));
  }
  EXPECT_FALSE(load().files.front().was_cached);
}

TEST_F(TokenCacheTest, IsNotMadeOfSmallFilesUnlessAsked) {
  settings.cache_dir = "auto";
  ::setenv("XDG_CACHE_HOME", (folder.path() / "home").c_str(), 1);
  EXPECT_EQ(load_dataset({{.path = data.string()}}, settings, HashedTokenizer("one")).files[0].cache_folder,
            "");
  EXPECT_NE(load().files[0].cache_folder, "");
  EXPECT_TRUE(load_dataset({{.path = data.string()}}, settings, HashedTokenizer("one")).files[0].was_cached);
  ::unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace excitor
