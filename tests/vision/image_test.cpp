// Paths and limits; the pixels themselves are compared with PIL in tests/python/test_images.py.
#include <excitor/vision/image.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>
#include <excitor/util/image_path.h>

#include "util/temporary_folder.h"
#include "vision/drawn_pictures.h"

namespace excitor {
namespace {

using testing::HasSubstr;

template <class E>
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(ImagePath, StaysInTheFolder) {
  EXPECT_EQ(image_path("coco", "train/1.jpg"), "coco/train/1.jpg");
  EXPECT_EQ(image_path("coco", "./train/../val/1.jpg"), "coco/val/1.jpg");
  EXPECT_EQ(image_path("coco", "..jpg"), "coco/..jpg");
}

TEST(ImagePath, ThatLeavesTheFolderIsRefusedByName) {
  for (const char* name : {"../1.jpg", "..", "train/../../1.jpg", "/etc/passwd", "./../1.jpg"}) {
    EXPECT_THAT(message_of<DataError>([&] { image_path("coco", name); }),
                testing::AllOf(HasSubstr(name), HasSubstr("outside"), HasSubstr("coco")));
  }
  EXPECT_THAT(message_of<DataError>([] { image_path("coco", ""); }), HasSubstr("no name"));
  EXPECT_THAT(message_of<DataError>([] { image_path("coco", std::string("a\0b", 3)); }),
              HasSubstr("no name"));
}

TEST(ReadImage, GivesThePixelsThatWereWritten) {
  const TemporaryFolder folder;
  const Image picture = noise_picture(31, 17, 0);
  write_png(folder / "a.png", picture);
  const Image read = read_image(folder / "a.png");
  EXPECT_EQ(read.width, 31);
  EXPECT_EQ(read.height, 17);
  EXPECT_EQ(read.rgb, picture.rgb);
}

TEST(ReadImage, CountsPixelsBeforeItDecodes) {
  const TemporaryFolder folder;
  write_png(folder / "a.png", noise_picture(31, 17, 0));
  EXPECT_NO_THROW(read_image(folder / "a.png", {.max_pixels = 31 * 17}));
  EXPECT_THAT(message_of<DataError>([&] { read_image(folder / "a.png", {.max_pixels = 31 * 17 - 1}); }),
              testing::AllOf(HasSubstr("a.png"), HasSubstr("31×17"), HasSubstr("526")));
}

TEST(ReadImage, NamesWhatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<IoError>([&] { read_image(folder / "none.jpg"); }), HasSubstr("none.jpg"));
  EXPECT_THAT(message_of<IoError>([&] { read_image(folder.path()); }), HasSubstr(folder.path().string()));
  std::ofstream(folder / "empty.jpg");
  EXPECT_THAT(message_of<DataError>([&] { read_image(folder / "empty.jpg"); }),
              testing::AllOf(HasSubstr("empty.jpg"), HasSubstr("is empty")));
}

TEST(DecodeImage, RefusesEveryTruncationOfAPng) {
  const TemporaryFolder folder;
  write_png(folder / "a.png", noise_picture(9, 7, 0));
  std::ifstream stream(folder / "a.png", std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(stream), {});
  const auto bytes = std::as_bytes(std::span(content));
  EXPECT_NO_THROW(decode_image(bytes, "whole"));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(decode_image(bytes.first(size), "cut"), DataError) << size << " bytes";
}

}  // namespace
}  // namespace excitor
