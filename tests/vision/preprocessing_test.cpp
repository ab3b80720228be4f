// Augmentation and threads; the values themselves are compared with transformers in
// tests/python/test_images.py.
#include <excitor/vision/preprocessing.h>

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "util/temporary_folder.h"
#include "vision/drawn_pictures.h"

namespace excitor {
namespace {

/// Both sides become `size`, so that nothing is cut off.
Preprocessing stretched_to(int64_t size) {
  Preprocessing how = Preprocessing::clip(size);
  how.shortest_edge.reset();
  how.resized_height = how.resized_width = size;
  return how;
}

Image cut(const Image& image, const ImageBox& box) {
  Image part{.width = box.width, .height = box.height, .rgb = {}};
  for (int64_t y = box.y; y < box.y + box.height; ++y) {
    const auto row = image.rgb.begin() + (y * image.width + box.x) * 3;
    part.rgb.insert(part.rgb.end(), row, row + box.width * 3);
  }
  return part;
}

TEST(Preprocess, OfABoxIsThatOfThePictureInIt) {
  const Image image = noise_picture(90, 70, 1);
  for (const ImageBox& box : {ImageBox{0, 0, 90, 70}, ImageBox{11, 5, 60, 64}, ImageBox{89, 69, 1, 1}}) {
    const Preprocessing how = stretched_to(40);
    EXPECT_TRUE(at::equal(preprocess_box(image, box, how), preprocess(cut(image, box), how)));
  }
}

TEST(Preprocess, LeavesAPictureOfTheRightSizeAsItIs) {
  const Image image = noise_picture(32, 32, 2);
  const Preprocessing how = Preprocessing::clip(32);
  const at::Tensor pixels = preprocess(image, how);
  for (int64_t c = 0; c < 3; ++c) {
    const double value = image.rgb[(5 * 32 + 7) * 3 + c] / 255.0;
    EXPECT_NEAR(pixels[c][5][7].item<double>(), (value - how.mean[c]) / how.deviation[c], 1e-6);
  }
}

TEST(Preprocess, KeepsAColourWhateverTheSize) {
  for (const auto& [width, height] : {std::pair{500, 333}, std::pair{20, 31}, std::pair{1, 1000}}) {
    Image image{.width = width, .height = height, .rgb = {}};
    image.rgb.assign(static_cast<size_t>(width * height * 3), 200);
    const at::Tensor pixels = preprocess(image, Preprocessing::clip(64));
    EXPECT_EQ(pixels[0].min().item<float>(), pixels[0].max().item<float>());
  }
}

TEST(Preprocess, OfFilesDoesNotDependOnThreads) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < 9; ++i) {
    files.push_back(folder / (std::to_string(i) + ".png"));
    write_png(files.back(), noise_picture(40 + i, 50 - i, i));
  }
  const Preprocessing how = Preprocessing::clip(24);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = preprocess_files(files, how);
  at::set_num_threads(4);
  const at::Tensor four = preprocess_files(files, how);
  files.push_back(folder / "none.png");
  EXPECT_THROW(preprocess_files(files, how), IoError);  // from whichever thread
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, four));
  EXPECT_TRUE(at::equal(one[3], preprocess(noise_picture(43, 47, 3), how)));
}

TEST(RandomCrop, TakesBoxesOfTheAskedAreaAndRatioInThePicture) {
  const Image image = noise_picture(640, 480, 0);
  const RandomCrop crop;
  double left = 640, right = 0, smallest = 1;
  for (uint64_t stream = 0; stream < 500; ++stream) {
    const ImageBox box = crop.box(image, 7, stream);
    ASSERT_TRUE(box.x >= 0 && box.y >= 0 && box.x + box.width <= 640 && box.y + box.height <= 480);
    const double ratio = static_cast<double>(box.width) / box.height;
    const double area = static_cast<double>(box.width * box.height) / (640 * 480);
    EXPECT_TRUE(ratio > 0.745 && ratio < 1.34 && area > 0.895 && area <= 1) << ratio << " " << area;
    left = std::min(left, ratio), right = std::max(right, ratio), smallest = std::min(smallest, area);
  }
  EXPECT_LT(left, 1.25);  // 480 high, a ratio below 1.2 has no area of 0.9
  EXPECT_GT(right, 1.32);
  EXPECT_LT(smallest, 0.91);
}

TEST(RandomCrop, IsAFunctionOfSeedAndStream) {
  const Image image = noise_picture(64, 64, 0);
  const RandomCrop crop{.smallest_area = 0.1};
  const auto key = [&](uint64_t seed, uint64_t stream) {
    const ImageBox box = crop.box(image, seed, stream);
    return std::tuple(box.x, box.y, box.width, box.height);
  };
  EXPECT_EQ(key(1, 2), key(1, 2));
  EXPECT_NE(key(1, 2), key(1, 3));
  EXPECT_NE(key(1, 2), key(2, 2));
}

TEST(RandomCrop, TakesTheMiddleOfAPictureThatIsTooNarrow) {
  const ImageBox box = RandomCrop().box(noise_picture(1000, 30, 0), 0, 0);
  EXPECT_EQ(box.width, 40);
  EXPECT_EQ(box.height, 30);
  EXPECT_EQ(box.x, 480);
  const ImageBox one = RandomCrop().box(noise_picture(1, 1, 0), 0, 0);
  EXPECT_EQ(one.width * one.height, 1);
}

TEST(PreprocessingSettings, SurviveJson) {
  Preprocessing how = stretched_to(48);
  how.mean = {0.1, 0.2, 0.3};
  how.rescale_factor = 1.0 / 3;
  EXPECT_EQ(Preprocessing::from_json(how.json(), "x", 224).json(), how.json());
  Preprocessing plain = Preprocessing::clip(32);
  plain.shortest_edge.reset();
  EXPECT_EQ(Preprocessing::from_json(plain.json(), "x", 224).json(), plain.json());
}

TEST(Preprocess, ShowsBlueInThePlaceOfRedWhereTheTowerWasShownBgr) {
  Image image = noise_picture(24, 24, 3);
  Preprocessing how = Preprocessing::clip(24);
  const at::Tensor rgb = preprocess(image, how);
  for (size_t i = 0; i < image.rgb.size(); i += 3) std::swap(image.rgb[i], image.rgb[i + 2]);
  how.channels = ChannelOrder::bgr;
  EXPECT_TRUE(preprocess(image, how).equal(rgb));
}

}  // namespace
}  // namespace excitor
