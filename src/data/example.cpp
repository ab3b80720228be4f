#include <excitor/data/example.h>

#include <algorithm>

namespace excitor {

int64_t Example::labels() const {
  return std::ranges::count_if(supervised, [](uint8_t marked) { return marked != 0; });
}

bool Example::last_label_is(TokenId id) const {
  return !ids.empty() && supervised.back() != 0 && ids.back() == id;
}

std::optional<TokenId> Example::last_label() const {
  const auto last = std::find_if(supervised.rbegin(), supervised.rend(), [](uint8_t m) { return m != 0; });
  if (last == supervised.rend()) return std::nullopt;
  return ids[static_cast<size_t>(supervised.rend() - last) - 1];
}

}  // namespace excitor
