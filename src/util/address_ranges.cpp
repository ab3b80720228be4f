#include <excitor/util/address_ranges.h>

#include <algorithm>
#include <iterator>

namespace excitor {

void AddressRanges::add(AddressRange range) {
  remove(range);
  bytes_ += range.bytes();
  auto after = ends_.lower_bound(range.begin);
  if (after != ends_.end() && after->first == range.end) {
    range.end = after->second;
    after = ends_.erase(after);
  }
  if (after != ends_.begin() && std::prev(after)->second == range.begin)
    std::prev(after)->second = range.end;
  else if (range.begin != range.end)
    ends_.emplace_hint(after, range.begin, range.end);
}

size_t AddressRanges::remove(AddressRange range) {
  size_t removed = 0;
  auto entry = ends_.upper_bound(range.begin);
  if (entry != ends_.begin() && std::prev(entry)->second > range.begin) --entry;
  while (entry != ends_.end() && entry->first < range.end) {
    const AddressRange found{entry->first, entry->second};
    entry = ends_.erase(entry);
    removed += std::min(found.end, range.end) - std::max(found.begin, range.begin);
    if (found.begin < range.begin) ends_.emplace(found.begin, range.begin);
    if (found.end > range.end) entry = ends_.emplace(range.end, found.end).first;
  }
  bytes_ -= removed;
  return removed;
}

AddressRange AddressRanges::remove_some(size_t bytes) {
  if (ends_.empty()) return {};
  auto entry = ends_.lower_bound(turn_);
  if (entry == ends_.end()) entry = ends_.begin();
  const AddressRange some{entry->first, std::min(entry->second, entry->first + bytes)};
  remove(some);
  turn_ = some.end;
  return some;
}

}  // namespace excitor
