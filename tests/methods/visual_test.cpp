// What must hold for every method with a visual side, and for the two groups of joint training.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/adapter_files.h>
#include <excitor/methods/registry.h>
#include <excitor/tensor/fused.h>
#include <excitor/util/error.h>

#include "model/tiny_llama.h"
#include "tensor/numeric_gradient.h"
#include "util/temporary_folder.h"
#include "vision/tiny_tower.h"

namespace excitor {
namespace {

constexpr int64_t kRows = 5, kWidth = 6;

struct VisualCase {
  std::string name;
  std::string method;
  std::string settings;  // without the features' shape
};

void PrintTo(const VisualCase& c, std::ostream* out) {
  *out << c.name;
}

std::vector<VisualCase> visual_cases() {
  return {
      {"excitor", "excitor", R"({"adapter_len": 3, "adapter_layers": 2, "r": 2})"},
      {"excitor_replace", "excitor",
       R"({"adapter_len": 3, "adapter_layers": 2, "r": 2, "visual_prompts": "replace"})"},
      {"excitor_full_width", "excitor",
       R"({"adapter_len": 3, "adapter_layers": 1, "r": 2, "prompt_attention": "full_width"})"},
      {"adapter", "adapter", R"({"adapter_len": 3, "adapter_layers": 2})"},
      {"adapter_v2", "adapter_v2",
       R"({"adapter_len": 2, "adapter_layers": 2, "visual_hidden_size": 8, "visual_heads": 2, "visual_blocks": 2})"},
      {"adapter_v2_early", "adapter_v2",
       R"({"adapter_len": 2, "adapter_layers": 1, "visual_layers": [0, 1], "visual_hidden_size": 4, "visual_heads": 1, "visual_blocks": 1, "scale_target_modules": []})"}};
}

class Visual : public testing::TestWithParam<VisualCase> {
 protected:
  /// `width` 0: the same method without its visual side.
  std::unique_ptr<Method> make(int64_t width = kWidth) const {
    auto method = make_method(GetParam().method);
    Json settings = Json::parse(GetParam().settings);
    if (width > 0) settings["visual_rows"] = kRows, settings["visual_width"] = width;
    if (width == 0) settings.erase("visual_layers");
    Problems problems;
    read_settings(
        settings, [&](Describer& d) { method->describe(d); }, {}, problems);
    method->resolve(config_);
    method->check(config_, "method", problems);
    problems.throw_if_any(settings.dump());
    return method;
  }
  ParameterSet parameters_of(const Method& method, double shaken, at::ScalarType type = at::kDouble) const {
    const auto lookup = [this](const std::string& name) { return base_weight(base_.model, name); };
    ParameterSet parameters = initialise(method.parameters(config_), 3, at::TensorOptions(type), lookup);
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : parameters.entries())
      tensor.detach().add_(at::randn_like(tensor), shaken);
    return parameters;
  }
  at::Tensor logits(const TokenBatch& batch, const ModelBypass* bypass, SequenceImages images = {}) const {
    const at::NoGradGuard no_grad;
    return base_.model.logits(base_.model.hidden(batch, {.bypass = bypass, .images = std::move(images)}),
                              bypass);
  }
  at::Tensor loss(const TokenBatch& batch, const ModelBypass& bypass, const SequenceImages& images,
                  bool recompute_layers = false) const {
    const at::Tensor rows = at::tensor({1, 2, 4, 6}, at::kLong),
                     targets = at::tensor({3, 1, 4, 1}, at::kLong);
    const at::Tensor hidden = base_.model.hidden(
        batch, {.bypass = &bypass, .rows = rows, .images = images, .recompute_layers = recompute_layers});
    return cross_entropy(hidden, base_.model.head(&bypass), targets, {.weight = 0.25, .chunk_rows = 3});
  }
  static at::Tensor image() { return at::randn({kRows, kWidth}, at::TensorOptions(at::kDouble)); }

  LlamaConfig config_ = [] {
    LlamaConfig config = test::tiny_config();
    config.num_key_value_heads = 2;
    return config;
  }();
  LoadedModel base_ = test::tiny_llama(config_);
  std::unique_ptr<Method> method_ = make();
};

TEST_P(Visual, StartsAsTheBaseWithAnImageToo) {
  const ParameterSet parameters = parameters_of(*method_, 0);
  const auto bypass = method_->bypass(config_, parameters);
  const TokenBatch batch = test::random_batch({5, 3});
  EXPECT_LT(relative_difference(logits(batch, bypass.get(), {image(), {}}), logits(batch, nullptr)), 1e-12);
}

TEST_P(Visual, ATextWithoutAnImageIsThatOfTheTextOnlyModelBitForBit) {
  const ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const auto texts_only = make(0);
  ParameterSet text_parameters = parameters_of(*texts_only, 0);
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : text_parameters.entries()) tensor.detach().copy_(parameters.at(name));
  }
  const auto text_bypass = texts_only->bypass(config_, text_parameters);
  const TokenBatch batch = test::random_batch({5, 3});
  const at::Tensor expected = logits(batch, text_bypass.get());
  EXPECT_TRUE(logits(batch, bypass.get()).equal(expected));
  EXPECT_TRUE(logits(batch, bypass.get(), {{}, {}}).equal(expected));
  const at::Tensor beside = logits(batch, bypass.get(), {image(), {}});  // the other sequence has an image
  EXPECT_LT(relative_difference(beside.narrow(0, 5, 3), expected.narrow(0, 5, 3)), 1e-13);
  EXPECT_GT(relative_difference(beside.narrow(0, 0, 5), expected.narrow(0, 0, 5)), 1e-5);
}

TEST_P(Visual, DifferentImagesGiveDifferentAnswers) {
  const ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const TokenBatch batch = test::random_batch({6});
  EXPECT_GT(
      relative_difference(logits(batch, bypass.get(), {image()}), logits(batch, bypass.get(), {image()})),
      1e-5);
}

TEST_P(Visual, PackingChangesNothing) {
  const ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const TokenBatch packed = test::random_batch({4, 2, 5});
  const SequenceImages images{image(), {}, image()};
  std::vector<at::Tensor> alone;
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t n = packed.segments.length(i);
    alone.push_back(
        logits({.ids = packed.ids.narrow(0, packed.segments.begin(i), n), .segments = Segments({n})},
               bypass.get(), {images[i]}));
  }
  EXPECT_LT(relative_difference(logits(packed, bypass.get(), images), at::cat(alone, 0)), 1e-11);
}

TEST_P(Visual, DecodingTokenByTokenEqualsOnePass) {
  const ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const at::NoGradGuard no_grad;
  const TokenBatch batch = test::random_batch({7});
  const SequenceImages images{image()};
  KvCache cache(config_.num_hidden_layers, 1);
  std::vector<at::Tensor> hidden;
  for (int64_t t = 0; t < 7; ++t) {  // the image is given with the first token alone
    hidden.push_back(base_.model.hidden(
        {.ids = batch.ids.narrow(0, t, 1), .segments = Segments({1})},
        {.bypass = bypass.get(), .cache = &cache, .images = t == 0 ? images : SequenceImages{}}));
  }
  EXPECT_LT(relative_difference(at::cat(hidden, 0),
                                base_.model.hidden(batch, {.bypass = bypass.get(), .images = images})),
            1e-11);
}

TEST_P(Visual, GradientsEqualCentralDifferences) {
  const ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const TokenBatch batch = test::random_batch({5, 3});
  const SequenceImages images{image(), image()};
  std::vector<at::Tensor> leaves;
  for (const auto& entry : parameters.entries()) {
    const bool is_visual = entry.name.find(".layers.") == std::string::npos ||
                           entry.name.find("prompt") != std::string::npos ||
                           entry.name.find("gate") != std::string::npos;
    // Without its own prompts in an attention, an Excitor's prompts have no gradient.
    const bool replaced = GetParam().name == "excitor_replace" && entry.name.ends_with("excitor_prompt");
    if (is_visual && !replaced) leaves.push_back(entry.tensor);
  }
  expect_gradients([&] { return loss(batch, *bypass, images); }, leaves, 1e-5);
}

TEST_P(Visual, RecomputedLayersGiveTheSameGradients) {
  ParameterSet parameters = parameters_of(*method_, 0.1);
  const auto bypass = method_->bypass(config_, parameters);
  const TokenBatch batch = test::random_batch({5, 3});
  const SequenceImages images{image(), {}};
  run_backward(loss(batch, *bypass, images));
  std::map<std::string, at::Tensor> kept;
  for (const auto& entry : parameters.entries()) {
    if (entry.tensor.grad().defined()) kept[entry.name] = entry.tensor.grad().clone();
  }
  parameters.clear_gradients();
  run_backward(loss(batch, *bypass, images, /*recompute_layers=*/true));
  for (const auto& [name, gradient] : kept) {
    ASSERT_TRUE(parameters.at(name).grad().defined()) << name;
    EXPECT_LT(relative_difference(parameters.at(name).grad(), gradient), 1e-12) << name;
  }
}

TEST_P(Visual, SavedAndLoadedItGivesTheSameBits) {
  const ParameterSet parameters = parameters_of(*method_, 0.1, at::kFloat);
  const TemporaryFolder folder;
  save_adapter(folder / "adapter", *method_, parameters, {.prompt_template = "alpaca"});
  const LoadedAdapter loaded = load_adapter(folder / "adapter", config_, {});
  const TokenBatch batch = test::random_batch({6});
  const SequenceImages images{image()};
  EXPECT_TRUE(logits(batch, loaded.method->bypass(config_, loaded.parameters).get(), images)
                  .equal(logits(batch, method_->bypass(config_, parameters).get(), images)));
  ASSERT_NE(loaded.method->visual(), nullptr);
  EXPECT_EQ(loaded.method->visual()->visual_width, kWidth);
}

INSTANTIATE_TEST_SUITE_P(Methods, Visual, testing::ValuesIn(visual_cases()),
                         [](const testing::TestParamInfo<VisualCase>& info) { return info.param.name; });

/// The formula of methods.md, written out for one layer: prompts and the image's projected rows are keys and
/// values of the hint.
TEST(ExcitorVisual, AppendsProjectedRowsToThePrompts) {
  LlamaConfig config = test::tiny_config();
  config.num_hidden_layers = 1;
  const LoadedModel base = test::tiny_llama(config);
  auto method = make_method("excitor");
  Problems problems;
  read_settings(
      Json::parse(R"({"adapter_len": 2, "r": 2, "visual_rows": 5, "visual_width": 6})"),
      [&](Describer& d) { method->describe(d); }, {}, problems);
  problems.throw_if_any("settings");
  method->resolve(config);
  auto wide = make_method("excitor");  // the same with the rows among its own prompts
  read_settings(
      Json::parse(R"({"adapter_len": 7, "r": 2})"), [&](Describer& d) { wide->describe(d); }, {}, problems);
  wide->resolve(config);
  const at::TensorOptions options(at::kDouble);
  ParameterSet parameters = initialise(method->parameters(config), 1, options, nullptr);
  ParameterSet wider = initialise(wide->parameters(config), 1, options, nullptr);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : parameters.entries()) tensor.detach().add_(at::randn_like(tensor), 0.3);
  const at::Tensor image = at::randn({5, 6}, options);
  const at::Tensor rows = image.mm(parameters.at("base_model.model.excitor_visual.weight").t()) +
                          parameters.at("base_model.model.excitor_visual.bias");
  for (const auto& [name, tensor] : wider.entries()) {
    const at::Tensor& own = parameters.at(name);
    tensor.detach().copy_(name.ends_with("excitor_prompt") ? at::cat({own, rows}, 0) : own);
  }
  const TokenBatch batch = test::random_batch({6});
  const auto bypass = method->bypass(config, parameters), wide_bypass = wide->bypass(config, wider);
  EXPECT_LT(relative_difference(base.model.hidden(batch, {.bypass = bypass.get(), .images = {image}}),
                                base.model.hidden(batch, {.bypass = wide_bypass.get()})),
            1e-12);
}

TEST(AdapterV2Visual, BatchesOfOneKindReachTheParametersOfTheirGroupAlone) {
  const LlamaConfig config = test::tiny_config();
  auto method = make_method("adapter_v2");
  Problems problems;
  read_settings(
      Json::parse(R"({"adapter_len": 2, "adapter_layers": 1, "visual_layers": [0, 1], "visual_rows": 5,
                      "visual_width": 6, "visual_hidden_size": 4, "visual_heads": 1, "visual_blocks": 1})"),
      [&](Describer& d) { method->describe(d); }, {}, problems);
  method->check(config, "method", problems);
  problems.throw_if_any("settings");
  const auto group = [&](const std::string& name) { return method->trained_by("base_model.model." + name); };
  for (const char* name :
       {"clip_proj.weight", "visual_query.weight", "visual_blocks.0.attn.qkv.bias", "visual_proj_norm.weight",
        "model.layers.0.self_attn.adaption_prompt", "model.layers.1.self_attn.adaption_gate"})
    EXPECT_EQ(group(name), TrainedBy::images) << name;
  for (const char* name :
       {"model.layers.2.self_attn.adaption_prompt", "model.layers.2.self_attn.adaption_gate",
        "model.layers.0.self_attn.q_proj.adapter_scale", "model.layers.1.input_layernorm.weight",
        "model.norm.weight"})
    EXPECT_EQ(group(name), TrainedBy::texts) << name;
  // A text reaches nothing of the images' group, even without being told.
  const LoadedModel base = test::tiny_llama(config);
  const auto lookup = [&](const std::string& name) { return base_weight(base.model, name); };
  const ParameterSet parameters =
      initialise(method->parameters(config), 1, at::TensorOptions(at::kDouble), lookup);
  const auto bypass = method->bypass(config, parameters);
  run_backward(base.model.hidden(test::random_batch({6}), {.bypass = bypass.get()}).sum());
  for (const auto& [name, tensor] : parameters.entries())
    EXPECT_EQ(tensor.grad().defined(), method->trained_by(name) == TrainedBy::texts) << name;
}

TEST(VisualSettings, RefuseATowerOfAnotherWidth) {
  VisualSettings settings{.visual_rows = 5, .visual_width = 6};
  Problems problems;
  settings.check("method", problems);
  EXPECT_TRUE(problems.empty());
  VisualSettings{.visual_rows = 5, .visual_width = {}}.check("method", problems);
  EXPECT_FALSE(problems.empty());
  EXPECT_THROW(settings.check_images({at::randn({5, 7})}), std::logic_error);
  EXPECT_THROW(VisualSettings{}.check_images({at::randn({5, 6})}), std::logic_error);
}

TEST(VisualSettings, TakeTheShapeOfATowerAndKeepIt) {
  const ImageEncoder encoder = tiny_encoder();
  VisualSettings settings;
  settings.see(encoder, "clip");
  EXPECT_EQ(settings.visual_rows, 5);
  EXPECT_EQ(settings.visual_width, 8);
  EXPECT_NO_THROW(settings.see(encoder, "clip"));
  const ImageEncoder projected = tiny_encoder({.kind = FeatureKind::projected_tokens, .layers = {}});
  try {
    settings.see(projected, "towers/other");
    FAIL() << "a tower of another width was taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("towers/other"), testing::HasSubstr("5 of 8"),
                                             testing::HasSubstr("width 6")));
  }
}

}  // namespace
}  // namespace excitor
