#include <excitor/tensor/segments.h>

#include <vector>

#include <gtest/gtest.h>

namespace excitor {
namespace {

TEST(Segments, BoundariesAreTheSumsOfTheLengths) {
  const Segments segments({3, 1, 5});
  const at::Tensor bounds = segments.boundaries(at::kCPU);
  ASSERT_EQ(bounds.scalar_type(), at::kInt);
  const auto* values = bounds.const_data_ptr<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(values, values + bounds.numel()), (std::vector<int32_t>{0, 3, 4, 9}));
  EXPECT_EQ(segments.longest(), 5);
  EXPECT_EQ(Segments().longest(), 0);
}

TEST(Segments, BoundariesAreMadeOnceForAllLayersAndCopies) {
  const Segments segments({2, 2});
  const at::Tensor bounds = segments.boundaries(at::kCPU);
  EXPECT_TRUE(segments.boundaries(at::kCPU).is_same(bounds));
  const Segments copy = segments;
  EXPECT_TRUE(copy.boundaries(at::kCPU).is_same(bounds));
}

}  // namespace
}  // namespace excitor
