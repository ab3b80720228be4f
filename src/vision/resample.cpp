#include "resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace excitor {
namespace {

// --- weights -----------------------------------------------------------------------------------------------

constexpr double kSupport = 2;     // of the cubic, in pixels
constexpr int kFractionBits = 22;  // of a weight: 32 less 8 of a pixel less 2 for overshoot and sign
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

/// Keys' cubic convolution kernel with a = −1/2 (IEEE Trans. ASSP 29(6), 1981, eq. 4).
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// What one target pixel is made of: source pixels [begin, begin + count).
struct Taps {
  int64_t begin = 0;
  int64_t count = 0;
  const int32_t* weights = nullptr;
};

/// The taps of the target pixels [first, first + count()) that lie within the resized picture.
class AxisWeights {
 public:
  explicit AxisWeights(const ResampledAxis& axis)
      : scale_(static_cast<double>(axis.source_size) / static_cast<double>(axis.resized)),
        filter_scale_(std::max(scale_, 1.0)),
        first_(std::clamp<int64_t>(-axis.crop_begin, 0, axis.size)) {
    const int64_t end = std::clamp<int64_t>(axis.resized - axis.crop_begin, first_, axis.size);
    stride_ = static_cast<int64_t>(std::ceil(kSupport * filter_scale_)) * 2 + 1;
    weights_.resize(static_cast<size_t>(stride_ * (end - first_)));
    for (int64_t i = first_; i < end; ++i) add_pixel(axis, axis.crop_begin + i);
  }

  int64_t first() const { return first_; }
  int64_t count() const { return static_cast<int64_t>(spans_.size()); }
  Taps taps(int64_t i) const {
    return {.begin = spans_[i].begin, .count = spans_[i].count, .weights = weights_.data() + i * stride_};
  }
  /// The part of the source that any pixel depends on.
  int64_t source_begin() const { return spans_.empty() ? 0 : spans_.front().begin; }
  int64_t source_end() const { return spans_.empty() ? 0 : spans_.back().begin + spans_.back().count; }

 private:
  struct Span {
    int64_t begin, count;
  };

  void add_pixel(const ResampledAxis& axis, int64_t pixel) {
    const double support = kSupport * filter_scale_;
    const double center = (static_cast<double>(pixel) + 0.5) * scale_;
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), axis.source_size);
    std::vector<double> values;
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) {
      values.push_back(cubic((static_cast<double>(i) - center + 0.5) * (1 / filter_scale_)));
      sum += values.back();
    }
    int32_t* weights = weights_.data() + count() * stride_;
    for (const double value : values) {
      const double scaled = value / sum * (1 << kFractionBits);
      *weights++ = static_cast<int32_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
    spans_.push_back({.begin = axis.source_begin + begin, .count = end - begin});
  }

  double scale_, filter_scale_;
  int64_t first_;
  int64_t stride_ = 0;
  std::vector<Span> spans_;
  std::vector<int32_t> weights_;  // [count, stride_]
};

// --- sums of 16 bytes at a time ----------------------------------------------------------------------------

constexpr int64_t kLanes = 16;
typedef uint8_t Bytes __attribute__((vector_size(kLanes)));

/// target[j] = Σ_t weights[t] · source[t · stride + j] for `columns` bytes, a multiple of kLanes; rounded,
/// cut to 0..255.
void weighted_sums_of_any_cpu(const uint8_t* __restrict source, int64_t stride, const Taps& taps,
                              int64_t columns, uint8_t* __restrict target) {
  for (int64_t j = 0; j < columns; j += kLanes) {
    int32_t sums[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] = kHalf;
    for (int64_t t = 0; t < taps.count; ++t) {
      const uint8_t* bytes = source + t * stride + j;
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += bytes[lane] * taps.weights[t];
    }
    for (int64_t lane = 0; lane < kLanes; ++lane)
      target[j + lane] = static_cast<uint8_t>(std::clamp(sums[lane] >> kFractionBits, 0, 255));
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) inline __m256i eight_integers(const uint8_t* bytes) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
}

/// The same by hand: GCC makes scalar code of the loops above for this instruction set, or with the pragma
/// half as fast code.
__attribute__((target("avx2"))) void weighted_sums_of_avx2(const uint8_t* source, int64_t stride,
                                                           const Taps& taps, int64_t columns,
                                                           uint8_t* target) {
  for (int64_t j = 0; j < columns; j += kLanes) {
    __m256i low = _mm256_set1_epi32(kHalf), high = low;
    const uint8_t* bytes = source + j;
    for (int64_t t = 0; t < taps.count; ++t, bytes += stride) {
      const __m256i weight = _mm256_set1_epi32(taps.weights[t]);
      low = _mm256_add_epi32(low, _mm256_mullo_epi32(eight_integers(bytes), weight));
      high = _mm256_add_epi32(high, _mm256_mullo_epi32(eight_integers(bytes + kLanes / 2), weight));
    }
    // Both packings saturate, which is the cut; the first one works on halves of 128 bits, hence the order.
    const __m256i words = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(_mm256_srai_epi32(low, kFractionBits), _mm256_srai_epi32(high, kFractionBits)),
        0b11'01'10'00);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + j),
                     _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  }
}
#endif

using WeightedSums = void (*)(const uint8_t* source, int64_t stride, const Taps& taps, int64_t columns,
                              uint8_t* target);

const WeightedSums weighted_sums = [] {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return &weighted_sums_of_avx2;
#endif
  return static_cast<WeightedSums>(&weighted_sums_of_any_cpu);
}();

// --- the two passes ----------------------------------------------------------------------------------------

int64_t padded(int64_t bytes) {
  return (bytes + kLanes - 1) / kLanes * kLanes;
}

/// Rows of bytes whose ends may be read and written in steps of kLanes.
struct Rows {
  int64_t stride = 0;
  std::vector<uint8_t> bytes;
  Rows(int64_t rows, int64_t width) : stride(padded(width)), bytes(static_cast<size_t>(rows * stride)) {}
  uint8_t* row(int64_t y) { return bytes.data() + y * stride; }
};

/// Byte j of vector i becomes byte i of vector j: four rounds of merging vectors whose numbers are 8 apart.
void turn(Bytes (&vectors)[kLanes]) {
  for (int round = 0; round < 4; ++round) {
    Bytes merged[kLanes];
    for (int i = 0; i < 8; ++i) {
      merged[2 * i] = __builtin_shufflevector(vectors[i], vectors[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                              5, 21, 6, 22, 7, 23);
      merged[2 * i + 1] = __builtin_shufflevector(vectors[i], vectors[i + 8], 8, 24, 9, 25, 10, 26, 11, 27,
                                                  12, 28, 13, 29, 14, 30, 15, 31);
    }
    std::copy_n(merged, kLanes, vectors);
  }
}

/// Bytes [begin, begin + kLanes) of up to kLanes rows, turned.
void turn_square(const uint8_t* rows, int64_t stride, int64_t count, int64_t begin, uint8_t* turned) {
  Bytes vectors[kLanes];
  for (int64_t r = 0; r < kLanes; ++r)
    std::memcpy(&vectors[r], rows + std::min(r, count - 1) * stride + begin, kLanes);
  turn(vectors);
  std::memcpy(turned + begin * kLanes, vectors, sizeof vectors);
}

/// A block of up to kLanes rows, turned: byte j of row r stands at [j][r], so that a sum over neighbours in a
/// row is one over vectors. Nothing behind a row is read. (Byte by byte this took most of the time.)
void turn_rows(const uint8_t* rows, int64_t stride, int64_t count, int64_t bytes, uint8_t* turned) {
  if (bytes < kLanes) {
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t j = 0; j < bytes; ++j) turned[j * kLanes + r] = rows[r * stride + j];
    }
    return;
  }
  for (int64_t j = 0; j + kLanes <= bytes; j += kLanes) turn_square(rows, stride, count, j, turned);
  if (bytes % kLanes != 0) turn_square(rows, stride, count, bytes - kLanes, turned);
}

/// The reverse, into rows that are padded to whole vectors, as `turned` is.
void turn_back(const uint8_t* turned, int64_t count, Rows& rows, int64_t first) {
  for (int64_t j = 0; j < rows.stride; j += kLanes) {
    Bytes vectors[kLanes];
    std::memcpy(vectors, turned + j * kLanes, sizeof vectors);
    turn(vectors);
    for (int64_t r = 0; r < count; ++r) std::memcpy(rows.row(first + r) + j, &vectors[r], kLanes);
  }
}

/// `count` rows at the target's columns: [count, x.count(), 3]. `rows` begins at source column
/// x.source_begin().
Rows resample_rows(const uint8_t* rows, int64_t stride, int64_t count, const AxisWeights& x) {
  const int64_t left = x.source_begin(), bytes = (x.source_end() - left) * 3;
  Rows result(count, x.count() * 3);
  std::vector<uint8_t> turned(static_cast<size_t>(bytes * kLanes));
  std::vector<uint8_t> sums(static_cast<size_t>(result.stride * kLanes));
  for (int64_t y = 0; y < count; y += kLanes) {
    const int64_t block = std::min(kLanes, count - y);
    turn_rows(rows + y * stride, stride, block, bytes, turned.data());
    for (int64_t i = 0; i < x.count(); ++i) {
      const Taps taps = x.taps(i);
      weighted_sums(turned.data() + (taps.begin - left) * 3 * kLanes, 3 * kLanes, taps, 3 * kLanes,
                    sums.data() + i * 3 * kLanes);
    }
    turn_back(sums.data(), block, result, y);
  }
  return result;
}

/// The target's rows of `rows`, of which the first is source row y.source_begin().
Rows resample_columns(Rows rows, const AxisWeights& y) {
  Rows result(y.count(), rows.stride);
  for (int64_t i = 0; i < y.count(); ++i) {
    const Taps taps = y.taps(i);
    weighted_sums(rows.row(taps.begin - y.source_begin()), rows.stride, taps, rows.stride, result.row(i));
  }
  return result;
}

/// The part of the source that the target depends on, in rows of their own.
Rows copy_part(const uint8_t* rows, int64_t stride, int64_t count, int64_t bytes) {
  Rows part(count, bytes);
  for (int64_t y = 0; y < count; ++y) std::copy_n(rows + y * stride, bytes, part.row(y));
  return part;
}

/// Pillow 13 begins with the columns when that takes away more than twice as many rows as the other way takes
/// columns (found by comparing its results with both orders for 2,000 sizes). The order shows in the
/// rounding.
bool begins_with_columns(const ResampledAxis& x, const ResampledAxis& y) {
  const int64_t fewer_rows = y.source_size - y.resized, fewer_columns = x.source_size - x.resized;
  return fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
}

}  // namespace

Image resample(const Image& source, const ResampledAxis& x_axis, const ResampledAxis& y_axis) {
  const AxisWeights x(x_axis), y(y_axis);
  Image target{.width = x_axis.size, .height = y_axis.size, .rgb = {}};
  target.rgb.resize(static_cast<size_t>(target.width * target.height * 3));
  if (x.count() == 0 || y.count() == 0) return target;
  const int64_t stride = source.width * 3, rows = y.source_end() - y.source_begin();
  const uint8_t* begin = source.rgb.data() + y.source_begin() * stride + x.source_begin() * 3;
  Rows result = [&] {
    if (!begins_with_columns(x_axis, y_axis))
      return resample_columns(resample_rows(begin, stride, rows, x), y);
    Rows low = resample_columns(copy_part(begin, stride, rows, (x.source_end() - x.source_begin()) * 3), y);
    return resample_rows(low.row(0), low.stride, y.count(), x);
  }();
  for (int64_t i = 0; i < y.count(); ++i) {
    std::copy_n(result.row(i), x.count() * 3,
                target.rgb.data() + ((y.first() + i) * target.width + x.first()) * 3);
  }
  return target;
}

}  // namespace excitor
