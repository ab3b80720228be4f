#include <excitor/interchange/rotary_layout.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace excitor {
namespace {

at::Tensor rows(const std::vector<int64_t>& values) {
  return at::tensor(at::ArrayRef<int64_t>(values));
}

TEST(RotaryLayout, HalvesBecomeNeighbours) {  // a head of 8 rows
  EXPECT_TRUE(at::equal(rotary_rows_to_meta(at::arange(8), 1), rows({0, 4, 1, 5, 2, 6, 3, 7})));
  EXPECT_TRUE(at::equal(rotary_rows_to_hugging_face(at::arange(8), 1), rows({0, 2, 4, 6, 1, 3, 5, 7})));
}

TEST(RotaryLayout, EachHeadIsReorderedByItself) {
  EXPECT_TRUE(at::equal(rotary_rows_to_meta(at::arange(8), 2), rows({0, 2, 1, 3, 4, 6, 5, 7})));
}

TEST(RotaryLayout, ColumnsStayTogether) {
  const at::Tensor matrix = at::arange(24).view({8, 3});
  const at::Tensor order = rotary_rows_to_meta(at::arange(8), 1);
  EXPECT_TRUE(at::equal(rotary_rows_to_meta(matrix, 1), matrix.index_select(0, order)));
}

TEST(RotaryLayout, TheTwoDirectionsAreInverse) {
  const at::Tensor matrix = at::arange(60).view({12, 5});
  EXPECT_TRUE(at::equal(rotary_rows_to_hugging_face(rotary_rows_to_meta(matrix, 3), 3), matrix));
  EXPECT_TRUE(at::equal(rotary_rows_to_meta(rotary_rows_to_hugging_face(matrix, 3), 3), matrix));
}

TEST(RotaryLayout, OnlyQueriesAndKeysAreRotated) {
  LlamaConfig model;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  EXPECT_EQ(rotated_heads(model, Projection::q), 4);
  EXPECT_EQ(rotated_heads(model, Projection::k), 2);
  for (const Projection site :
       {Projection::v, Projection::o, Projection::gate, Projection::up, Projection::down})
    EXPECT_EQ(rotated_heads(model, site), 0);
}

}  // namespace
}  // namespace excitor
