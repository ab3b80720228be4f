#include "halving.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace excitor {

std::vector<size_t> survivors(const std::vector<double>& keys, double keep) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return keys[i]; });
  constexpr double kRounding = 1e-9;  // 0.1 of 30 are 3
  const double count = std::ceil(keep * static_cast<double>(keys.size()) - kRounding);
  order.resize(std::min(keys.size(), std::max<size_t>(1, static_cast<size_t>(count))));
  std::ranges::sort(order);
  return order;
}

}  // namespace excitor
