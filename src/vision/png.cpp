// PNG by libpng: every colour type and depth, interlaced or not.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <png.h>

#include <fmt/format.h>

#include "image_decoders.h"
#include "stored_png.h"

namespace excitor {
namespace {

/// Each member function returns false where the library jumped out; nothing that needs a destructor lives
/// in them.
class PngDecoder {
 public:
  enum class Checksums { compare, ignore };

  explicit PngDecoder(std::span<const std::byte> content, Checksums checksums = Checksums::compare)
      : rest_(content) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) throw std::bad_alloc();
    if (checksums == Checksums::compare) return;
    png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_option(png_, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the pixels are counted by make_image()
    png_set_read_fn(png_, this, read);
    png_read_info(png_, info_);
    is_grey_16_ =
        png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png_, info_) == 16;
    filtered_bytes_ = static_cast<size_t>(height()) * (png_get_rowbytes(png_, info_) + 1);
    return true;
  }

  /// `rows` are 3 bytes a pixel, or 2 of 16-bit grey. Reads to the end of the file, so that every checksum
  /// is compared where that is wanted.
  bool read_rows(std::vector<png_bytep>& rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    if (!is_grey_16_) ask_for_rgb();
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != static_cast<size_t>(width() * (is_grey_16_ ? 2 : 3)))
      png_error(png_, "rows of an unexpected length");
    png_read_image(png_, rows.data());
    png_read_end(png_, nullptr);
    return true;
  }

  int64_t width() const { return png_get_image_width(png_, info_); }
  int64_t height() const { return png_get_image_height(png_, info_); }
  bool is_grey_16() const { return is_grey_16_; }
  bool is_interlaced() const { return png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE; }
  /// Of the rows as the file has them, each with its filter's byte, where they are not interlaced.
  size_t filtered_bytes() const { return filtered_bytes_; }
  DecodingError error() const {
    if (is_truncated_) return DecodingError("is truncated: the PNG ends early");
    return DecodingError(fmt::format("is a damaged PNG: {}", message_));
  }

 private:
  void ask_for_rgb() {
    const png_byte colour = png_get_color_type(png_, info_);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    if ((colour & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png_);
  }

  static void read(png_structp png, png_bytep target, size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    self->is_truncated_ = count > self->rest_.size();
    if (self->is_truncated_) png_error(png, "the file ends early");
    std::memcpy(target, self->rest_.data(), count);
    self->rest_ = self->rest_.subspan(count);
  }
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof self->message_, "%s", message);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}

  std::span<const std::byte> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  bool is_grey_16_ = false;
  bool is_truncated_ = false;
  size_t filtered_bytes_ = 0;
  char message_[256] = "";
};

std::vector<png_bytep> row_pointers(uint8_t* begin, int64_t rows, int64_t stride) {
  std::vector<png_bytep> pointers(static_cast<size_t>(rows));
  for (int64_t y = 0; y < rows; ++y) pointers[y] = begin + y * stride;
  return pointers;
}

/// PIL cuts 16-bit grey at 255 (its mode "I;16" as RGB) instead of dropping the low byte.
void grey_16_to_rgb(const std::vector<uint8_t>& grey, std::vector<uint8_t>& rgb) {
  for (size_t i = 0; i < rgb.size() / 3; ++i)
    std::fill_n(rgb.data() + 3 * i, 3, grey[2 * i] != 0 ? uint8_t{255} : grey[2 * i + 1]);
}

void read_pixels(PngDecoder& decoder, Image& image) {
  std::vector<uint8_t> grey(decoder.is_grey_16() ? static_cast<size_t>(image.width * image.height * 2) : 0);
  auto rows = decoder.is_grey_16() ? row_pointers(grey.data(), image.height, image.width * 2)
                                   : row_pointers(image.rgb.data(), image.height, image.width * 3);
  if (!decoder.read_rows(rows)) throw decoder.error();
  if (decoder.is_grey_16()) grey_16_to_rgb(grey, image.rgb);
}

}  // namespace

Image decode_png(std::span<const std::byte> content, const ImageLimits& limits) {
  PngDecoder decoder(content);
  if (!decoder.read_header()) throw decoder.error();
  Image image = make_image(decoder.width(), decoder.height(), limits);
  const auto stored =
      decoder.is_interlaced() ? std::nullopt : store_pixels(content, decoder.filtered_bytes());
  if (stored) {
    PngDecoder of_stored(*stored, PngDecoder::Checksums::ignore);
    if (!of_stored.read_header()) throw of_stored.error();
    read_pixels(of_stored, image);
  } else {
    read_pixels(decoder, image);
  }
  return image;
}

}  // namespace excitor
