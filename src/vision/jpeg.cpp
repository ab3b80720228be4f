// JPEG by libjpeg-turbo: baseline, progressive, arithmetic; grey, YCbCr, RGB, CMYK, YCCK.
#include <csetjmp>
#include <cstdio>
#include <string>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

#include <fmt/format.h>

#include "image_decoders.h"

namespace excitor {
namespace {

/// A progressive file of a few kilobytes can ask for thousands of passes over a large image.
constexpr int kMostScans = 500;

/// The library reports errors by not returning: its handler jumps back to where we came from.
struct ErrorManager {
  jpeg_error_mgr base;  // first, so that the library's pointer to it is one to this struct
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void jump_out(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

/// Warnings (level below 0) are damage that the library mends. PIL takes such images too, but none that end
/// early.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) jump_out(info);
}

void check_scans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  std::snprintf(errors->message, sizeof errors->message, "more than %d scans", kMostScans);
  std::longjmp(errors->escape, 1);
}

/// Each member function returns false where the library jumped out; nothing that needs a destructor lives
/// in them.
class JpegDecoder {
 public:
  JpegDecoder() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = jump_out;
    errors_.base.emit_message = on_message;
    progress_.progress_monitor = check_scans;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool read_header(std::span<const std::byte> content) {
    if (setjmp(errors_.escape)) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(content.data()), content.size());
    jpeg_read_header(&info_, TRUE);
    info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    return true;
  }

  /// Rows of 3 bytes a pixel, or 4 of CMYK; `row(y)` is where row y goes, and `done(y)` follows it.
  template <class Row, class Done>
  bool read_rows(const Row& row, const Done& done) {
    if (setjmp(errors_.escape)) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      const JDIMENSION y = info_.output_scanline;
      JSAMPROW target = row(y);
      jpeg_read_scanlines(&info_, &target, 1);
      done(y);
    }
    return true;
  }

  int64_t width() const { return info_.image_width; }
  int64_t height() const { return info_.image_height; }
  int components() const { return info_.num_components; }
  /// What the library said when it jumped out.
  DecodingError error() const {
    if (errors_.base.msg_code == JWRN_JPEG_EOF || errors_.base.msg_code == JERR_INPUT_EOF)
      return DecodingError("is truncated: the JPEG ends early");
    return DecodingError(fmt::format("is a damaged JPEG: {}", errors_.message));
  }

 private:
  jpeg_decompress_struct info_{};
  jpeg_progress_mgr progress_{};
  ErrorManager errors_{};
};

/// a b / 255, rounded, as PIL has it.
int multiply_255(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/// CMYK is stored inverted (Adobe's way, which PIL takes for granted).
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, int64_t pixels) {
  for (int64_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<uint8_t>(cmyk[3] - multiply_255(255 - cmyk[c], cmyk[3]));
  }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> content, const ImageLimits& limits) {
  JpegDecoder decoder;
  if (!decoder.read_header(content)) throw decoder.error();
  if (decoder.components() == 2 || decoder.components() > 4)
    throw DecodingError(fmt::format("is a JPEG of {} colours; expected 1, 3 or 4", decoder.components()));
  Image image = make_image(decoder.width(), decoder.height(), limits);
  std::vector<uint8_t> cmyk(decoder.components() == 4 ? static_cast<size_t>(image.width * 4) : 0);
  const auto rgb_row = [&](int64_t y) { return image.rgb.data() + y * image.width * 3; };
  const bool whole =
      cmyk.empty() ? decoder.read_rows(rgb_row, [](int64_t) {})
                   : decoder.read_rows([&](int64_t) { return cmyk.data(); },
                                       [&](int64_t y) { cmyk_to_rgb(cmyk.data(), rgb_row(y), image.width); });
  if (!whole) throw decoder.error();
  return image;
}

}  // namespace excitor
