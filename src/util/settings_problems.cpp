#include <algorithm>

#include <fmt/core.h>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

namespace excitor {

void Problems::add(const std::string& path, const std::string& message) {
  std::string line = path.empty() ? message : fmt::format("{}: {}", path, message);
  if (std::find(lines_.begin(), lines_.end(), line) == lines_.end()) lines_.push_back(std::move(line));
}

void Problems::throw_if_any(const std::string& source) const {
  if (lines_.empty()) return;
  std::string text = fmt::format("{}: {} problem{}", source, lines_.size(), lines_.size() == 1 ? "" : "s");
  for (const std::string& line : lines_) text += "\n  " + line;
  throw ConfigError(text);
}

}  // namespace excitor
