#include <excitor/model/llama.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "model/tiny_llama.h"
#include "tensor/numeric_gradient.h"

namespace excitor {
namespace {

using test::tiny_llama;

at::Tensor ids_of(const TokenBatch& batch, int64_t i) {
  return batch.ids.narrow(0, batch.segments.begin(i), batch.segments.length(i));
}

TEST(Llama, PackedSequencesDoNotSeeEachOther) {
  for (const auto& [name, config] : test::base_shapes()) {
    const Llama model = tiny_llama(config).model;
    const TokenBatch packed = test::random_batch({5, 1, 7});
    std::vector<at::Tensor> alone;
    for (int64_t i = 0; i < packed.segments.count(); ++i) {
      alone.push_back(
          model.hidden({.ids = ids_of(packed, i), .segments = Segments({packed.segments.length(i)})}, {}));
    }
    EXPECT_LT(relative_difference(model.hidden(packed, {}), at::cat(alone, 0)), 1e-12) << name;
  }
}

TEST(Llama, ChosenRowsEqualTheSameRowsOfAll) {
  const Llama model = tiny_llama(test::tiny_config()).model;
  const TokenBatch batch = test::random_batch({6, 4});
  const at::Tensor rows = at::tensor({1, 5, 8}, at::kLong);
  EXPECT_LT(
      relative_difference(model.hidden(batch, {.rows = rows}), model.hidden(batch, {}).index_select(0, rows)),
      1e-12);
}

TEST(KvCache, DecodingTokenByTokenEqualsOnePass) {
  for (const auto& [name, config] : test::base_shapes()) {
    const Llama model = tiny_llama(config).model;
    const TokenBatch batch = test::random_batch({9});
    KvCache cache(config.num_hidden_layers, 1);
    std::vector<at::Tensor> hidden;
    for (int64_t t = 0; t < 9; ++t) {
      hidden.push_back(
          model.hidden({.ids = batch.ids.narrow(0, t, 1), .segments = Segments({1})}, {.cache = &cache}));
    }
    EXPECT_EQ(cache.length(0), 9);
    EXPECT_LT(relative_difference(at::cat(hidden, 0), model.hidden(batch, {})), 1e-12) << name;
  }
}

TEST(KvCache, SequencesOfOneCacheGrowInPiecesOfAnyLength) {
  const LlamaConfig config = test::tiny_config();
  const Llama model = tiny_llama(config).model;
  const TokenBatch whole = test::random_batch({8, 5});
  KvCache cache(config.num_hidden_layers, 2);
  const auto piece = [&](int64_t begin0, int64_t n0, int64_t begin1, int64_t n1) {
    const at::Tensor ids =
        at::cat({ids_of(whole, 0).narrow(0, begin0, n0), ids_of(whole, 1).narrow(0, begin1, n1)}, 0);
    return model.hidden({.ids = ids, .segments = Segments({n0, n1})}, {.cache = &cache});
  };
  const at::Tensor first = piece(0, 3, 0, 4), second = piece(3, 5, 4, 1), expected = model.hidden(whole, {});
  EXPECT_LT(relative_difference(second.narrow(0, 0, 5), expected.narrow(0, 3, 5)), 1e-12);
  EXPECT_LT(relative_difference(second.narrow(0, 5, 1), expected.narrow(0, 12, 1)), 1e-12);
  EXPECT_LT(relative_difference(first.narrow(0, 0, 3), expected.narrow(0, 0, 3)), 1e-12);
}

TEST(Llama, ActivationsMayHaveAnotherTypeThanTheWeights) {
  Llama model = tiny_llama(test::tiny_config(), at::kBFloat16).model;
  const TokenBatch batch = test::random_batch({6});
  EXPECT_EQ(model.hidden(batch, {}).scalar_type(), at::kBFloat16);
  const at::Tensor low = model.hidden(batch, {});
  model.set_activation_type(at::kFloat);
  const at::Tensor high = model.hidden(batch, {});
  EXPECT_EQ(high.scalar_type(), at::kFloat);
  EXPECT_LT(relative_difference(low, high), 0.05);
}

TEST(RandomLlama, DependsOnTheSeedAlone) {
  const LoadedModel a = random_llama(test::tiny_config(), 1, at::kFloat),
                    b = random_llama(test::tiny_config(), 1, at::kFloat);
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_NE(a.fingerprint, random_llama(test::tiny_config(), 2, at::kFloat).fingerprint);
  EXPECT_TRUE(base_weight(a.model, "model.layers.1.mlp.up_proj.weight")
                  .equal(base_weight(b.model, "model.layers.1.mlp.up_proj.weight")));
}

}  // namespace
}  // namespace excitor
