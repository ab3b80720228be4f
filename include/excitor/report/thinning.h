// Long records made short: what a page shows of 100,000 steps is no more than it shows of 1,000.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// A curve over steps in at most `2 * limit` buckets of neighbouring points, each with its mean, lowest and
/// highest value, so that no peak is lost. Holds the buckets only, however many points are added.
class ThinnedCurve {
 public:
  explicit ThinnedCurve(size_t limit) : limit_(limit) {}

  /// Steps ascend. Values that are not finite are counted but not drawn.
  void add(int64_t step, double value);
  bool empty() const { return buckets_.empty(); }
  /// The highest number of points that one bucket stands for.
  int64_t points_per_bucket() const { return width_; }
  /// {"step": […], "mean": […]}, and "low" and "high" where buckets hold more than one point. Six significant
  /// digits; a bucket without a finite value is null.
  Json json() const;

 private:
  struct Bucket {
    int64_t first_step = 0, last_step = 0;
    int64_t points = 0, finite = 0;
    double sum = 0;
    double low = std::numeric_limits<double>::infinity(), high = -low;
  };
  void halve();

  size_t limit_;
  int64_t width_ = 1;  ///< points of a full bucket
  std::vector<Bucket> buckets_;
};

/// Some of many values (never null), evenly spread: the first, the last, and at most `2 * limit` in between.
class ThinnedList {
 public:
  explicit ThinnedList(size_t limit) : limit_(limit) {}

  void add(Json value);
  Json json() const;

 private:
  size_t limit_;
  int64_t stride_ = 1, seen_ = 0;
  std::vector<Json> kept_;
  Json last_;  ///< null when it is among `kept_`
};

/// The same JSON with every number that is not an integer rounded to `digits` significant digits.
Json rounded(const Json& json, int digits);

}  // namespace excitor
