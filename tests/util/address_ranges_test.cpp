#include <excitor/util/address_ranges.h>

#include <set>

#include <gtest/gtest.h>

#include <excitor/util/random.h>

namespace excitor {
namespace {

TEST(AddressRanges, RangesThatTouchBecomeOne) {
  AddressRanges ranges;
  ranges.add({10, 20});
  ranges.add({30, 40});
  ranges.add({20, 30});
  EXPECT_EQ(ranges.bytes(), 30);
  EXPECT_EQ(ranges.remove_some(100), (AddressRange{10, 40}));
  EXPECT_EQ(ranges.remove_some(100), AddressRange{});
}

TEST(AddressRanges, WhatIsTakenOutOfTheMiddleLeavesBothSides) {
  AddressRanges ranges;
  ranges.add({10, 40});
  EXPECT_EQ(ranges.remove({20, 25}), 5);
  EXPECT_EQ(ranges.remove({0, 100}), 25);
  EXPECT_EQ(ranges.bytes(), 0);
}

TEST(AddressRanges, SomeAreTakenInTurn) {
  AddressRanges ranges;
  ranges.add({0, 10});
  ranges.add({20, 30});
  EXPECT_EQ(ranges.remove_some(4), (AddressRange{0, 4}));
  EXPECT_EQ(ranges.remove_some(4), (AddressRange{4, 8}));
  EXPECT_EQ(ranges.remove_some(4), (AddressRange{8, 10}));
  EXPECT_EQ(ranges.remove_some(4), (AddressRange{20, 24}));
}

TEST(AddressRanges, AreAsASetOfSingleAddresses) {
  AddressRanges ranges;
  std::set<uintptr_t> expected;
  Random random(1, 0);
  for (int i = 0; i < 2000; ++i) {
    const uintptr_t begin = random.next_u64() % 200, end = begin + random.next_u64() % 20;
    size_t removed = 0;
    const bool adds = random.next_u64() % 2 == 0;
    for (uintptr_t a = begin; a < end; ++a) {
      if (adds)
        expected.insert(a);
      else
        removed += expected.erase(a);
    }
    if (adds)
      ranges.add({begin, end});
    else
      EXPECT_EQ(ranges.remove({begin, end}), removed);
    ASSERT_EQ(ranges.bytes(), expected.size());
  }
}

}  // namespace
}  // namespace excitor
