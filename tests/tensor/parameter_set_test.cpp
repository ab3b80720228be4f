#include <excitor/tensor/parameter_set.h>

#include <cmath>
#include <stdexcept>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

namespace excitor {
namespace {

at::Tensor random_values(const Init& init, std::vector<int64_t> shape, uint64_t seed = 1,
                         std::string_view name = "w", at::ScalarType type = at::kFloat) {
  at::Tensor tensor = at::empty(shape, type);
  fill_random(tensor, init, seed, name);
  return tensor;
}

TEST(ParameterSpec, CountsElements) {
  const std::vector<ParameterSpec> specs{{"a", {2, 3}, {}}, {"b", {}, {}}, {"c", {0, 4}, {}}};
  EXPECT_EQ(specs[0].numel(), 6);
  EXPECT_EQ(specs[1].numel(), 1);
  EXPECT_EQ(specs[2].numel(), 0);
  EXPECT_EQ(count_parameters(specs), 7);
}

TEST(ParameterSet, KeepsTheOrderOfAdding) {
  ParameterSet set;
  set.add("z", at::zeros({2}));
  set.add("a", at::ones({3}));
  ASSERT_EQ(set.size(), 2U);
  EXPECT_EQ(set.entries()[0].name, "z");
  EXPECT_EQ(set.entries()[1].name, "a");
  EXPECT_EQ(set.numel(), 5);
  EXPECT_TRUE(set.contains("a"));
  EXPECT_FALSE(set.contains("b"));
}

TEST(ParameterSet, AddsLeavesThatRequireGradientEvenFromAComputation) {
  ParameterSet set;
  const at::Tensor& first = set.add("first", at::ones({2}));
  EXPECT_TRUE(first.is_leaf() && first.requires_grad());
  const at::Tensor second = set.add("second", set.at("first") * 2);
  EXPECT_TRUE(second.is_leaf() && second.requires_grad());
}

TEST(ParameterSet, RefusesASecondParameterOfOneNameAndAnUnknownName) {
  ParameterSet set;
  set.add("a", at::zeros({1}));
  EXPECT_THROW(set.add("a", at::zeros({1})), std::logic_error);
  EXPECT_THROW(set.add("b", at::Tensor()), std::logic_error);
  EXPECT_THROW(set.at("b"), std::logic_error);
}

TEST(ParameterSet, GradientsAreUndefinedAfterTheyWereCleared) {
  ParameterSet set;
  set.add("used", at::ones({2}));
  set.add("unused", at::ones({2}));
  (set.at("used") * 3).sum().backward();
  EXPECT_TRUE(at::equal(set.at("used").grad(), at::full({2}, 3.0)));
  EXPECT_FALSE(set.at("unused").grad().defined());
  set.clear_gradients();
  EXPECT_FALSE(set.at("used").grad().defined());
}

TEST(Initialise, MakesEveryParameterOfItsSpec) {
  const at::Tensor frozen = at::arange(4, at::kFloat).to(at::kBFloat16).view({2, 2});
  const std::vector<ParameterSpec> specs{{"constant", {3}, Init::constant(0.5)},
                                         {"normal", {8, 8}, Init::normal(0, 1)},
                                         {"base", {2, 2}, Init::base_weight("base")}};
  const ParameterSet set = initialise(specs, 7, at::kFloat, [&](const std::string&) { return frozen; });
  EXPECT_TRUE(at::equal(set.at("constant"), at::full({3}, 0.5)));
  EXPECT_TRUE(at::equal(set.at("normal"), random_values(Init::normal(0, 1), {8, 8}, 7, "normal")));
  EXPECT_TRUE(at::equal(set.at("base"), frozen.to(at::kFloat)));
  for (const auto& entry : set.entries())
    EXPECT_TRUE(entry.tensor.is_leaf() && entry.tensor.requires_grad()) << entry.name;
}

TEST(Initialise, NeverSharesMemoryWithTheFrozenWeight) {
  const at::Tensor frozen = at::zeros({2});
  const ParameterSet set = initialise({{"w", {2}, Init::base_weight("w")}}, 0, at::kFloat,
                                      [&](const std::string&) { return frozen; });
  EXPECT_NE(set.at("w").const_data_ptr(), frozen.const_data_ptr());
}

TEST(Initialise, RefusesABaseWeightThatIsMissingOrOfAnotherShape) {
  const std::vector<ParameterSpec> specs{{"w", {2}, Init::base_weight("w")}};
  EXPECT_THROW(initialise(specs, 0, at::kFloat, nullptr), std::logic_error);
  EXPECT_THROW(initialise(specs, 0, at::kFloat, [](const std::string&) { return at::Tensor(); }),
               std::logic_error);
  EXPECT_THROW(initialise(specs, 0, at::kFloat, [](const std::string&) { return at::zeros({3}); }),
               std::logic_error);
}

TEST(FillRandom, NormalValuesHaveTheirMeanDeviationAndTails) {
  const at::Tensor values =
      random_values(Init::normal(2.0, 0.5), {1'000'000}).to(at::kDouble).sub(2.0).div(0.5);
  EXPECT_NEAR(values.mean().item<double>(), 0.0, 0.004);           // 4 standard errors
  EXPECT_NEAR(values.square().mean().item<double>(), 1.0, 0.006);  // 4 standard errors
  EXPECT_NEAR(values.pow(4).mean().item<double>(), 3.0, 0.04);     // 4 standard errors
  const double beyond_two = values.abs().gt(2.0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(beyond_two, std::erfc(2.0 / std::sqrt(2.0)), 0.001);
  EXPECT_TRUE(values.isfinite().all().item<bool>());
}

TEST(FillRandom, NeighbouringNormalValuesAreUncorrelated) {
  const at::Tensor values = random_values(Init::normal(0, 1), {500'000, 2}).to(at::kDouble);
  EXPECT_NEAR(values.prod(1).mean().item<double>(), 0.0, 0.006);
  EXPECT_NEAR(values.square().prod(1).mean().item<double>(), 1.0, 0.016);
}

TEST(FillRandom, UniformValuesFillTheirInterval) {
  const at::Tensor values = random_values(Init::uniform(0.25), {1'000'000}).to(at::kDouble);
  EXPECT_NEAR(values.mean().item<double>(), 0.0, 0.0006);
  EXPECT_NEAR(values.square().mean().item<double>(), 0.25 * 0.25 / 3.0, 0.0001);
  EXPECT_LE(values.abs().max().item<double>(), 0.25);
  EXPECT_GT(values.abs().max().item<double>(), 0.2499);
}

TEST(FillRandom, DependsOnSeedAndNameOnly) {
  const Init init = Init::normal(0, 1);
  const at::Tensor values = random_values(init, {100}, 1, "layers.0.a");
  EXPECT_TRUE(at::equal(values, random_values(init, {100}, 1, "layers.0.a")));
  EXPECT_FALSE(at::equal(values, random_values(init, {100}, 2, "layers.0.a")));
  EXPECT_FALSE(at::equal(values, random_values(init, {100}, 1, "layers.1.a")));
}

TEST(FillRandom, DoesNotDependOnTheNumberOfThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = random_values(Init::normal(0, 1), {1'000'003});
  at::set_num_threads(3);
  const at::Tensor three = random_values(Init::normal(0, 1), {1'000'003});
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, three));
}

TEST(FillRandom, OtherTypesAreConversionsOfTheSingleValues) {
  const Init init = Init::normal(0, 0.02);
  const at::Tensor values = random_values(init, {5001});
  for (const auto type : {at::kBFloat16, at::kHalf, at::kDouble}) {
    EXPECT_TRUE(at::equal(random_values(init, {5001}, 1, "w", type), values.to(type)));
  }
}

TEST(FillRandom, FillsATensorThatIsNotContiguous) {
  at::Tensor transposed = at::empty({4, 8}, at::kFloat).t();
  fill_random(transposed, Init::uniform(1), 1, "w");
  EXPECT_TRUE(at::equal(transposed, random_values(Init::uniform(1), {8, 4})));
}

TEST(FillRandom, AcceptsParametersThatRequireGradientAndEmptyOnes) {
  at::Tensor parameter = at::zeros({3}).set_requires_grad(true);
  fill_random(parameter, Init::normal(0, 1), 1, "w");
  EXPECT_TRUE(parameter.is_leaf());
  EXPECT_EQ(random_values(Init::normal(0, 1), {0, 3}).numel(), 0);
}

TEST(FillRandom, CannotInventABaseWeight) {
  at::Tensor tensor = at::zeros({3});
  EXPECT_THROW(fill_random(tensor, Init::base_weight("w"), 1, "w"), std::logic_error);
}

}  // namespace
}  // namespace excitor
