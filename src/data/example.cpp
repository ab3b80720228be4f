#include <excitor/data/example.h>

#include <algorithm>

namespace excitor {

int64_t Example::labels() const {
  return std::ranges::count_if(supervised, [](uint8_t marked) { return marked != 0; });
}

bool Example::last_label_is(TokenId id) const {
  return !ids.empty() && supervised.back() != 0 && ids.back() == id;
}

}  // namespace excitor
