// Paths and limits; the pixels themselves are compared with PIL in tests/python/test_images.py.
#include <excitor/vision/image.h>

#include <fstream>

#include <png.h>
#include <zlib.h>

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

/// A PNG in memory, with IDATs of at most `idat_bytes`.
std::string png_of(const Image& picture, size_t idat_bytes) {
  std::string content;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_compression_buffer_size(png, idat_bytes);
  const auto append = [](png_structp writer, png_bytep bytes, size_t count) {
    static_cast<std::string*>(png_get_io_ptr(writer))->append(reinterpret_cast<const char*>(bytes), count);
  };
  png_set_write_fn(png, &content, append, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height),
               8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int64_t y = 0; y < picture.height; ++y) png_write_row(png, picture.rgb.data() + y * picture.width * 3);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return content;
}

std::span<const std::byte> bytes_of(const std::string& content) {
  return std::as_bytes(std::span(content));
}

TEST(DecodeImage, ReadsPngsOfManyChunksAndManyBlocks) {
  const Image picture = noise_picture(300, 220, 1);  // 198,220 bytes with the filters': four stored blocks
  for (const size_t idat_bytes : {size_t{1000}, size_t{1} << 20}) {
    const Image read = decode_image(bytes_of(png_of(picture, idat_bytes)), "a.png");
    EXPECT_EQ(read.rgb, picture.rgb) << idat_bytes;
  }
}

/// The chunk of this type with its checksum made right.
void mend_checksum(std::string& png, const char* type) {
  const size_t place = png.find(type);
  auto* data = reinterpret_cast<unsigned char*>(png.data()) + place;
  const uint32_t length = png_get_uint_32(data - 4);
  png_save_uint_32(data + 4 + length, static_cast<png_uint_32>(crc32(0, data, length + 4)));
}

TEST(DecodeImage, RefusesAPngWhosePixelsAreNotWhatTheirSumSays) {
  std::string png = png_of(noise_picture(40, 30, 2), 1 << 20);
  const size_t sum = png.find("IEND") - 12;  // Adler's, the last four bytes of the IDAT
  png[sum] = static_cast<char>(png[sum] ^ 1);
  EXPECT_THROW(decode_image(bytes_of(png), "a.png"), DataError) << "the chunk's checksum";
  mend_checksum(png, "IDAT");
  EXPECT_THROW(decode_image(bytes_of(png), "a.png"), DataError) << "Adler's";
}

TEST(DecodeImage, RefusesAPngWithFewerPixelsThanItSays) {
  std::string png = png_of(noise_picture(40, 30, 2), 1 << 20);
  png_save_uint_32(reinterpret_cast<unsigned char*>(png.data()) + png.find("IHDR") + 8, 31);  // rows
  mend_checksum(png, "IHDR");
  EXPECT_THROW(decode_image(bytes_of(png), "a.png"), DataError);
}

TEST(DecodeImage, RefusesEveryTruncationOfAPng) {
  const std::string content = png_of(noise_picture(9, 7, 0), 1 << 20);
  const auto bytes = bytes_of(content);
  EXPECT_NO_THROW(decode_image(bytes, "whole"));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(decode_image(bytes.first(size), "cut"), DataError) << size << " bytes";
}

}  // namespace
}  // namespace excitor
