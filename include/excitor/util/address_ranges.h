// A set of addresses, kept as ranges that do not touch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace excitor {

/// Addresses [begin, end).
struct AddressRange {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  size_t bytes() const { return end - begin; }
  bool operator==(const AddressRange&) const = default;
};

class AddressRanges {
 public:
  /// Addresses that are in already stay in.
  void add(AddressRange range);
  /// Takes out what the set has of `range`; returns how many bytes that were.
  size_t remove(AddressRange range);
  /// Takes out one range of at most `bytes`, in turn through all addresses; an empty one when the set is
  /// empty.
  AddressRange remove_some(size_t bytes);

  /// Of all ranges together.
  size_t bytes() const { return bytes_; }

 private:
  std::map<uintptr_t, uintptr_t> ends_;  ///< begin -> end
  size_t bytes_ = 0;
  uintptr_t turn_ = 0;  ///< where remove_some() goes on
};

}  // namespace excitor
