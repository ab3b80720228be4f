#include "described_value.h"

#include <cmath>

#include <fmt/core.h>

namespace excitor {

std::string join_path(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::string_view leaf_of(std::string_view path) {
  return path.substr(path.rfind('.') + 1);  // npos + 1 is 0
}

std::string limits_of(const Range& range) {
  const bool below = std::isfinite(range.minimum);
  const bool above = std::isfinite(range.maximum);
  std::string text;
  if (below) text += fmt::format("{} {}", range.open_minimum ? ">" : ">=", range.minimum);
  if (below && above) text += " and ";
  if (above) text += fmt::format("<= {}", range.maximum);
  return text;
}

bool contains(const Range& range, double value) {
  return (range.open_minimum ? value > range.minimum : value >= range.minimum) && value <= range.maximum;
}

}  // namespace excitor
