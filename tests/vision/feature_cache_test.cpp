#include <excitor/vision/feature_cache.h>
#include <excitor/vision/known_images.h>

#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "util/disk_full.h"
#include "util/temporary_folder.h"
#include "vision/drawn_pictures.h"
#include "vision/tiny_tower.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

class FeatureCacheTest : public testing::Test {
 protected:
  /// Files 0.png … of noise.
  std::vector<fs::path> pictures(int count, int first = 0) {
    std::vector<fs::path> files;
    for (int i = first; i < first + count; ++i) {
      files.push_back(folder_ / (std::to_string(i) + ".png"));
      write_png(files.back(), noise_picture(40, 36, i));
    }
    return files;
  }
  at::Tensor uncached(const fs::path& file) {
    return encoder_.encode(preprocess(read_image(file), encoder_.preprocessing()));
  }
  std::vector<fs::path> chunks(const FeatureCache& cache) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(cache.folder())) {
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    }
    return files;
  }
  void expect_all(FeatureCache& cache, const std::vector<fs::path>& files) {
    for (const fs::path& file : files) {
      const auto found = cache.find(sha256_of_file(file));
      ASSERT_TRUE(found.has_value()) << file;
      EXPECT_TRUE(at::equal(*found, uncached(file))) << file;
    }
  }

  TemporaryFolder folder_;
  fs::path cache_folder_ = folder_ / "cache";
  ImageEncoder encoder_ = tiny_encoder();
  std::vector<BadImage> bad_;
};

TEST_F(FeatureCacheTest, ATowerThatWasMovedSeesTheSame) {
  const fs::path file = pictures(1).front();
  ImageEncoder moved = tiny_encoder();
  moved.move_to(at::kCPU);
  EXPECT_EQ(moved.key(), encoder_.key());
  EXPECT_TRUE(at::equal(moved.encode(preprocess(read_image(file), moved.preprocessing())), uncached(file)));
}

TEST_F(FeatureCacheTest, KeepsFeaturesOfAGpuApart) {
  ImageEncoder moved = tiny_encoder();
  moved.move_to(at::kMeta);  // stands for any device that is no CPU: weights go there, nothing is computed
  EXPECT_EQ(moved.device(), at::kMeta);
  EXPECT_NE(FeatureCache(cache_folder_, moved).folder(), FeatureCache(cache_folder_, encoder_).folder());
}

TEST_F(FeatureCacheTest, HoldsWhatTheTowerComputesBitForBit) {
  const auto files = pictures(7);
  FeatureCache cache(cache_folder_, encoder_);
  const auto digests = cache.fill(files, bad_);
  EXPECT_EQ(digests.size(), 7U);
  EXPECT_EQ(cache.size(), 7);
  EXPECT_TRUE(bad_.empty());
  expect_all(cache, files);
  FeatureCache again(cache_folder_, encoder_);
  expect_all(again, files);
}

TEST_F(FeatureCacheTest, EncodesNothingTwice) {
  const auto files = pictures(5);
  FeatureCache(cache_folder_, encoder_).fill(files, bad_);
  FeatureCache cache(cache_folder_, encoder_);
  const auto before = chunks(cache);
  cache.fill(files, bad_);
  EXPECT_EQ(chunks(cache), before);
  cache.fill(pictures(2, 5), bad_);
  EXPECT_EQ(chunks(cache).size(), before.size() + 1);
}

TEST_F(FeatureCacheTest, KnowsAnImageByItsContentNotItsName) {
  auto files = pictures(2);
  fs::copy_file(files[0], folder_ / "copy.png");
  files.push_back(folder_ / "copy.png");
  FeatureCache cache(cache_folder_, encoder_);
  const auto digests = cache.fill(files, bad_);
  EXPECT_EQ(digests[0], digests[2]);
  EXPECT_EQ(cache.size(), 2);
  write_png(files[0], noise_picture(40, 36, 99));  // another picture under the same name
  EXPECT_FALSE(cache.find(sha256_of_file(files[0])).has_value());
  cache.fill(files, bad_);
  expect_all(cache, files);
}

TEST_F(FeatureCacheTest, GoesOnWhereItWasInterrupted) {
  const auto files = pictures(150);
  struct Stop {};
  {
    FeatureCache cache(cache_folder_, encoder_);
    EXPECT_THROW(cache.fill(files, bad_, [](int64_t, int64_t) { throw Stop(); }), Stop);
  }
  FeatureCache cache(cache_folder_, encoder_);
  EXPECT_EQ(cache.size(), 128);
  std::vector<int64_t> seen;
  cache.fill(files, bad_, [&](int64_t done, int64_t total) { seen = {done, total}; });
  EXPECT_THAT(seen, testing::ElementsAre(150, 150));
  EXPECT_EQ(chunks(cache).size(), 2U);
  expect_all(cache, files);
}

TEST_F(FeatureCacheTest, KeepsTowersAndSettingsApart) {
  const auto files = pictures(1);
  const ImageEncoder tower = tiny_encoder({}, 1);
  const ImageEncoder layer = tiny_encoder({.kind = FeatureKind::tokens, .layers = {1}});
  const ImageEncoder kind = tiny_encoder({.kind = FeatureKind::class_tokens, .layers = {}});
  Preprocessing how = Preprocessing::clip(kTinyImage);
  how.mean[0] += 1e-6;
  const ImageEncoder other_mean(tiny_tower(), how, {});
  std::set<fs::path> folders;
  for (const ImageEncoder* encoder : {&std::as_const(encoder_), &tower, &layer, &kind, &other_mean}) {
    FeatureCache cache(cache_folder_, *encoder);
    EXPECT_EQ(cache.size(), 0);
    cache.fill(files, bad_);
    folders.insert(cache.folder());
  }
  EXPECT_EQ(folders.size(), 5U);
}

TEST_F(FeatureCacheTest, ListsBadImagesAndGoesOn) {
  auto files = pictures(3);
  std::ofstream(folder_ / "bad.jpg") << "no picture";
  files.insert(files.begin() + 1, folder_ / "bad.jpg");
  files.push_back(folder_ / "missing.jpg");
  FeatureCache cache(cache_folder_, encoder_);
  const auto digests = cache.fill(files, bad_);
  ASSERT_EQ(bad_.size(), 2U);
  EXPECT_EQ(bad_[0].file, folder_ / "bad.jpg");
  EXPECT_THAT(bad_[0].reason, testing::HasSubstr("bad.jpg"));
  EXPECT_EQ(bad_[1].file, folder_ / "missing.jpg");
  EXPECT_EQ(digests[1], "");
  EXPECT_EQ(cache.size(), 3);
}

TEST_F(FeatureCacheTest, EncodesAgainWhatWasDamaged) {
  const auto files = pictures(4);
  for (const bool cut : {true, false}) {
    FeatureCache cache(cache_folder_, encoder_);
    cache.fill(files, bad_);
    const fs::path chunk = chunks(cache).front();
    if (cut)
      fs::resize_file(chunk, fs::file_size(chunk) - 7);
    else
      std::ofstream(chunk) << "not a cache";
    FeatureCache after(cache_folder_, encoder_);
    EXPECT_EQ(after.size(), 0);
    after.fill(files, bad_);
    expect_all(after, files);
  }
}

TEST_F(FeatureCacheTest, KeepsWhatItCantRead) {
  fs::path chunk;
  {
    FeatureCache cache(cache_folder_, encoder_);
    cache.fill(pictures(2), bad_);
    chunk = chunks(cache).front();
  }
  for (const fs::path& folder : {folder_.path(), cache_folder_, chunk.parent_path()})
    fs::permissions(folder, fs::perms(0777));
  fs::permissions(chunk, fs::perms::none);
  const auto open_as_another_user = [&] {
    give_up_privileges();
    exit_with_error_of([&] { FeatureCache(cache_folder_, encoder_); });
  };
  EXPECT_EXIT(open_as_another_user(), testing::ExitedWithCode(0),
              chunk.filename().string() + ": .*start again once it can be read");
  fs::permissions(chunk, fs::perms(0600));
  EXPECT_EQ(FeatureCache(cache_folder_, encoder_).size(), 2);
}

TEST_F(FeatureCacheTest, RemembersImagesOfAnInterruptedFilling) {
  const auto files = pictures(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // younger files are not remembered
  struct Stop {};
  FeatureCache cache(cache_folder_, encoder_);
  EXPECT_THROW(cache.fill(files, bad_, [](int64_t, int64_t) { throw Stop(); }), Stop);
  const KnownImages known(cache.folder() / "images.txt");
  EXPECT_EQ(known.digest_of(files[0], stamp_of(files[0])), sha256_of_file(files[0]));
}

TEST(ImageEncoder, GivesTheStatesThatWereAskedFor) {
  const LoadedTower tower = tiny_tower();
  const at::Tensor pixels = preprocess(noise_picture(32, 32, 0), Preprocessing::clip(kTinyImage));
  const auto states = tower.tower.hidden_states(pixels.unsqueeze(0), {0, 1, 2});
  const auto encode = [&](FeatureKind kind, std::vector<int64_t> layers) {
    const ImageEncoder encoder = tiny_encoder({.kind = kind, .layers = std::move(layers)});
    const at::Tensor features = encoder.encode(pixels);
    EXPECT_EQ(features.sizes(), (at::IntArrayRef{encoder.rows(), encoder.width()}));
    return features;
  };
  EXPECT_TRUE(at::equal(encode(FeatureKind::tokens, {}), states[2][0]));
  EXPECT_TRUE(at::equal(encode(FeatureKind::tokens, {-2}), states[1][0]));
  EXPECT_TRUE(at::equal(encode(FeatureKind::class_tokens, {-1, 0}),
                        at::cat({states[0].select(1, 0), states[2].select(1, 0)})));
  EXPECT_TRUE(at::equal(encode(FeatureKind::projected_tokens, {}),
                        tower.tower.project(tower.tower.post_norm(states[2]))[0]));
}

TEST(ImageEncoder, RefusesLayersThatAreNotThere) {
  EXPECT_THROW(tiny_encoder({.kind = FeatureKind::tokens, .layers = {3}}), ConfigError);
  EXPECT_THROW(tiny_encoder({.kind = FeatureKind::tokens, .layers = {-4}}), ConfigError);
  EXPECT_THROW(tiny_encoder({.kind = FeatureKind::tokens, .layers = {1, 2}}), ConfigError);
  EXPECT_THROW(tiny_encoder({.kind = FeatureKind::class_tokens, .layers = {2, -1}}), ConfigError);
}

TEST_F(FeatureCacheTest, DoesNotReadAgainWhatStayedAsItWas) {
  const auto files = pictures(2);
  FeatureCache cache(cache_folder_, encoder_);
  const std::vector<std::string> digests = cache.fill(files, bad_);
  KnownImages notes(cache.folder() / "images.txt");
  notes.note(files[0], stamp_of(files[0]), digests[1]);  // wrong, so that it shows whether the file is read
  notes.save();
  EXPECT_EQ(cache.fill(files, bad_), (std::vector<std::string>{digests[1], digests[1]}));
  write_png(files[0], noise_picture(40, 36, 7));
  EXPECT_EQ(cache.fill(files, bad_).front(), sha256_of_file(files[0]));
  expect_all(cache, files);
}

TEST(KnownImages, TellWhatWasNotedForTheSameStamp) {
  const TemporaryFolder folder;
  const std::string digest(64, 'a');
  const FileStamp stamp{.size = 5, .modified_ns = 6, .status_changed_ns = 7, .inode = 8};
  KnownImages notes(folder / "images.txt");
  notes.note("a name.png", stamp, digest);
  notes.note("b\nb.png", stamp, digest);  // would be two lines
  notes.save();
  const KnownImages again(folder / "images.txt");
  EXPECT_EQ(again.digest_of("a name.png", stamp), digest);
  EXPECT_EQ(again.digest_of("b\nb.png", stamp), std::nullopt);
  EXPECT_EQ(again.digest_of("other.png", stamp), std::nullopt);
  for (FileStamp changed :
       {FileStamp{5, 6, 7, 9}, FileStamp{5, 6, 9, 8}, FileStamp{5, 9, 7, 8}, FileStamp{9, 6, 7, 8}})
    EXPECT_EQ(again.digest_of("a name.png", changed), std::nullopt);
}

TEST(KnownImages, TellNothingFromADamagedFile) {
  const TemporaryFolder folder;
  std::ofstream(folder / "images.txt") << "rubbish\n" << std::string(64, 'a') << " 5 6\n\n";
  KnownImages notes(folder / "images.txt");
  EXPECT_EQ(notes.digest_of("a.png", FileStamp{.size = 5, .modified_ns = 6}), std::nullopt);
  EXPECT_NO_THROW(KnownImages(folder / "absent/images.txt").save());
}

}  // namespace
}  // namespace excitor
