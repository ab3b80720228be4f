#include <excitor/report/thinning.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

constexpr int kDigits = 6;

double round_to(double value, int digits) {
  if (!std::isfinite(value)) return value;
  return std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
}

}  // namespace

void ThinnedCurve::add(int64_t step, double value) {
  if (buckets_.empty() || buckets_.back().points == width_) {
    if (buckets_.size() == 2 * limit_) halve();
    if (buckets_.empty() || buckets_.back().points == width_) buckets_.push_back({.first_step = step});
  }
  Bucket& bucket = buckets_.back();
  bucket.last_step = step;
  ++bucket.points;
  if (!std::isfinite(value)) return;
  ++bucket.finite;
  bucket.sum += value;
  bucket.low = std::min(bucket.low, value);
  bucket.high = std::max(bucket.high, value);
}

void ThinnedCurve::halve() {
  for (size_t i = 0; i < buckets_.size() / 2; ++i) {
    Bucket merged = buckets_[2 * i];
    const Bucket& next = buckets_[2 * i + 1];
    merged.last_step = next.last_step;
    merged.points += next.points;
    merged.finite += next.finite;
    merged.sum += next.sum;
    merged.low = std::min(merged.low, next.low);
    merged.high = std::max(merged.high, next.high);
    buckets_[i] = merged;
  }
  buckets_.resize(buckets_.size() / 2);
  width_ *= 2;
}

Json ThinnedCurve::json() const {
  Json step = Json::array(), mean = Json::array(), low = Json::array(), high = Json::array();
  for (const Bucket& bucket : buckets_) {
    const auto number = [&](double value) { return bucket.finite ? Json(round_to(value, kDigits)) : Json(); };
    step.push_back((bucket.first_step + bucket.last_step) / 2);
    mean.push_back(number(bucket.sum / static_cast<double>(bucket.finite)));
    low.push_back(number(bucket.low));
    high.push_back(number(bucket.high));
  }
  Json json = {{"step", std::move(step)}, {"mean", std::move(mean)}};
  if (width_ > 1) json.update({{"low", std::move(low)}, {"high", std::move(high)}});
  return json;
}

void ThinnedList::add(Json value) {
  if (seen_++ % stride_ != 0) {
    last_ = std::move(value);
    return;
  }
  last_ = Json();
  kept_.push_back(std::move(value));
  if (kept_.size() <= 2 * limit_) return;
  for (size_t i = 0; 2 * i < kept_.size(); ++i)
    if (i > 0) kept_[i] = std::move(kept_[2 * i]);
  // 2 * limit + 1 values became limit + 1: the first and the last of them stay.
  kept_.resize(limit_ + 1);
  stride_ *= 2;
}

Json ThinnedList::json() const {
  Json json = kept_;
  if (!last_.is_null()) json.push_back(last_);
  return json;
}

Json rounded(const Json& json, int digits) {
  if (json.is_number_float()) return round_to(json.get<double>(), digits);
  if (!json.is_structured()) return json;
  Json copy = json;
  for (Json& child : copy) child = rounded(child, digits);
  return copy;
}

}  // namespace excitor
