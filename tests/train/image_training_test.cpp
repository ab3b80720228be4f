// Training with images: features from the cache or not, groups of parameters, resuming.
#include <map>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/train/evaluation.h>
#include <excitor/train/trainer.h>
#include <excitor/util/error.h>

#include "model/tiny_llama.h"
#include "util/temporary_folder.h"
#include "vision/drawn_pictures.h"
#include "vision/tiny_tower.h"

namespace excitor {
namespace {

using State = std::map<std::string, at::Tensor>;

/// Sentences of 8 tokens, some about pictures.
class Pictured final : public Dataset {
 public:
  /// `images`: of the examples; "" is a text.
  explicit Pictured(std::vector<std::string> images) : images_(std::move(images)) {}
  int64_t size() const override { return std::ssize(images_); }
  Example example(int64_t index) const override {
    Example example{.image = images_[index], .origin = "test"};
    for (int64_t t = 0; t < tokens(index); ++t) {
      example.ids.push_back(static_cast<TokenId>((7 * t + 3 * index) % 23));
      example.supervised.push_back(t >= 4);
    }
    return example;
  }
  int64_t tokens(int64_t) const override { return 8; }
  int64_t labels(int64_t) const override { return 4; }
  std::string image(int64_t index) const override { return images_[index]; }

 private:
  std::vector<std::string> images_;
};

class ImageTraining : public testing::TestWithParam<std::string> {
 protected:
  ImageTraining() {
    std::vector<std::filesystem::path> files;
    for (uint64_t i = 0; i < 6; ++i) {
      files.push_back(folder_ / (std::to_string(i) + ".png"));
      write_png(files.back(), noise_picture(40, 36, i));
    }
    for (const auto& file : files) pictures_.push_back(file.string());
    use(GetParam());
  }

  void use(const std::string& name) {
    method_ = make_method(name);
    Json settings = {{"adapter_len", 2}, {"adapter_layers", 2}};
    if (name == "excitor") settings["r"] = 2;
    if (name == "adapter_v2")
      settings.update(
          {{"visual_layers", {0, 1}}, {"visual_hidden_size", 4}, {"visual_heads", 1}, {"visual_blocks", 1}});
    Problems problems;
    read_settings(
        settings, [&](Describer& d) { method_->describe(d); }, {}, problems);
    problems.throw_if_any("settings");
    const ImageEncoder encoder = tiny_encoder(method_->visual_features());
    method_->visual()->see(encoder, "tower");
    method_->resolve(base_.model.config());
    parameters_ = initialise(method_->parameters(base_.model.config()), 3, at::TensorOptions(at::kFloat),
                             [&](const std::string& weight) { return base_weight(base_.model, weight); });
    bypass_ = method_->bypass(base_.model.config(), parameters_);
  }
  std::unique_ptr<ImageFeatures> features(const ImageFeaturesOptions& options) const {
    return std::make_unique<ImageFeatures>(tiny_encoder(method_->visual_features()), options);
  }
  TrainingTask task(const Dataset& data, const ImageFeatures& images) {
    TrainSettings settings;
    settings.micro_batch_size = 2;
    settings.gradient_accumulation_steps = 2;
    settings.max_steps = 8;
    settings.learning_rate = 1e-2;
    settings.weight_decay = 0.1;
    return {.communicator = *alone_,
            .model = base_.model,
            .bypass = *bypass_,
            .parameters = parameters_,
            .dataset = data,
            .settings = settings,
            .limits = {.packing = true, .max_tokens = 16},
            .images = &images,
            .trained_by = [this](std::string_view name) { return method_->trained_by(name); }};
  }
  /// Losses of steps from a fresh start.
  std::vector<double> losses(const Dataset& data, const ImageFeatures& images, int64_t resume_after = -1) {
    use(GetParam());
    auto trainer = std::make_unique<Trainer>(task(data, images));
    std::vector<double> losses;
    while (!trainer->finished()) {
      if (trainer->steps_done() == resume_after) {
        const State state = state_of(*trainer);
        trainer = std::make_unique<Trainer>(task(data, images));
        trainer->resume(resume_after, [&](const std::string& name) { return state.at(name); });
        resume_after = -1;
      }
      losses.push_back(trainer->step().loss);
    }
    return losses;
  }
  /// Parameters, moments and step counts.
  State state_of(const Trainer& trainer) const {
    State state;
    for (const auto& [name, tensor] : trainer.state()) state[name] = tensor.clone();
    return state;
  }
  State everything(const Trainer& trainer) const {
    State state = state_of(trainer);
    for (const auto& [name, tensor] : parameters_.entries()) state[name] = tensor.detach().clone();
    return state;
  }
  Pictured mixed() const {
    return Pictured({pictures_[0], "", pictures_[1], "", "", pictures_[2], "", pictures_[0]});
  }

  TemporaryFolder folder_;
  std::vector<std::string> pictures_;
  LoadedModel base_ = test::tiny_llama(test::tiny_config(), at::kFloat);
  std::unique_ptr<Communicator> alone_ = single_process();
  std::unique_ptr<Method> method_;
  ParameterSet parameters_;
  std::unique_ptr<ModelBypass> bypass_;
};

TEST_P(ImageTraining, LossesAreTheSameBitsWithTheCacheAndWithout) {
  const Pictured data({pictures_[0], pictures_[1], pictures_[2], pictures_[3], pictures_[0]});
  const auto cached = features({.cache = folder_ / "cache"});
  EXPECT_TRUE(cached->prepare({pictures_.begin(), pictures_.end()}).empty());
  const auto again = features({.cache = folder_ / "cache"});  // mapped, as another run would have them
  EXPECT_TRUE(again->prepare({pictures_.begin(), pictures_.end()}).empty());
  const auto uncached = features({});
  const auto expected = losses(data, *uncached);
  EXPECT_EQ(losses(data, *cached), expected);
  EXPECT_EQ(losses(data, *again), expected);
  EXPECT_NE(losses(Pictured({"", "", "", "", ""}), *uncached), expected);
}

TEST_P(ImageTraining, GoesOnWithTheSameBitsAfterAStopInTheEpoch) {
  const Pictured data = mixed();
  const auto images = features({});
  EXPECT_EQ(losses(data, *images, /*resume_after=*/3), losses(data, *images));
}

TEST_P(ImageTraining, RandomCropsAreAFunctionOfSeedStepAndExample) {
  const Pictured data({pictures_[0], pictures_[1], pictures_[2], pictures_[3], pictures_[4]});
  const auto cropped = features({.random_crop = RandomCrop{.smallest_area = 0.3}});
  const auto expected = losses(data, *cropped);
  EXPECT_EQ(losses(data, *cropped, /*resume_after=*/3), expected);
  EXPECT_NE(losses(data, *features({})), expected);
}

TEST_P(ImageTraining, ABatchMovesTheParametersOfItsOwnGroupAlone) {
  const Pictured data = mixed();
  const auto images = features({});
  Trainer trainer(task(data, *images));
  const bool is_apart = GetParam() == "adapter_v2";
  for (int64_t step = 0; step < 6; ++step) {
    const State before = everything(trainer);
    const StepMetrics metrics = trainer.step();
    BatchContent content;
    for (const int64_t index : metrics.examples)
      (data.image(index).empty() ? content.texts : content.images) = true;
    EXPECT_NE(is_apart && content.texts && content.images, true) << "a batch of both kinds";
    const State after = everything(trainer);
    for (const auto& entry : parameters_.entries()) {
      for (const char* part : {"", ".exp_avg", ".exp_avg_sq", ".step"}) {
        const std::string name = entry.name + part;
        const bool is_count = std::string_view(part) == ".step";
        if (!content.trains(method_->trained_by(entry.name))) {
          EXPECT_TRUE(after.at(name).equal(before.at(name))) << name << " moved in step " << step;
        } else if (is_count) {
          EXPECT_FALSE(after.at(name).equal(before.at(name))) << name << " stood still in step " << step;
        }
      }
    }
  }
}

TEST_P(ImageTraining, TextsAloneLeaveTheVisualSideAsItIs) {
  const Pictured data({"", "", "", "", ""});
  const auto images = features({});
  Trainer trainer(task(data, *images));
  const State before = everything(trainer);
  for (int64_t step = 0; step < 4; ++step) trainer.step();
  const State after = everything(trainer);
  int64_t visual = 0;
  for (const auto& entry : parameters_.entries()) {
    if (method_->trained_by(entry.name) != TrainedBy::images) continue;
    ++visual;
    EXPECT_TRUE(after.at(entry.name).equal(before.at(entry.name))) << entry.name;
  }
  EXPECT_GT(visual, 0);
}

TEST_P(ImageTraining, EvaluationSeesTheImages) {
  {
    const at::NoGradGuard no_grad;  // away from the start, where images do not show yet
    for (const auto& entry : parameters_.entries())
      entry.tensor.detach().add_(at::randn_like(entry.tensor), 0.3);
  }
  const Pictured data = mixed();
  const auto images = features({});
  SharedDataset shared{data, {.packing = true, .max_tokens = 64}, *alone_};
  const double blind = evaluate_loss(base_.model, bypass_.get(), shared).loss;
  shared.images = images.get();
  const double packed = evaluate_loss(base_.model, bypass_.get(), shared).loss;
  shared.limits.max_tokens = 8;
  EXPECT_NEAR(evaluate_loss(base_.model, bypass_.get(), shared).loss, packed, 1e-5);
  EXPECT_GT(std::abs(blind - packed), 1e-4);
  EXPECT_EQ(compare_with_base(base_.model, *bypass_, shared).label_tokens, 32);
}

TEST_P(ImageTraining, TheProbeOfMemoryShowsImagesAndChangesNothing) {
  const Pictured data = mixed();
  const auto images = features({});
  Trainer trainer(task(data, *images));
  const State before = everything(trainer);
  EXPECT_EQ(trainer.probe_memory(), 16);
  for (const auto& [name, tensor] : everything(trainer)) EXPECT_TRUE(tensor.equal(before.at(name))) << name;
}

INSTANTIATE_TEST_SUITE_P(Methods, ImageTraining, testing::Values("excitor", "adapter", "adapter_v2"),
                         [](const auto& info) { return info.param; });

TEST(ImageFeatures, ListBadImagesWithTheCacheAndWithout) {
  const TemporaryFolder folder;
  write_png(folder / "good.png", noise_picture(40, 36, 1));
  write_file_atomically(folder / "text.jpg", "no picture");
  write_file_atomically(folder / "empty.png", "");
  const std::vector<std::filesystem::path> files{folder / "text.jpg", folder / "good.png",
                                                 folder / "empty.png", folder / "missing.webp"};
  for (const bool is_cached : {false, true}) {
    ImageFeatures features(tiny_encoder(),
                           {.cache = is_cached ? std::optional(folder / "cache") : std::nullopt});
    const auto bad = features.prepare(files);
    ASSERT_EQ(bad.size(), 3U) << is_cached;
    for (const BadImage& image : bad) EXPECT_THAT(image.reason, testing::HasSubstr(image.file.string()));
    EXPECT_EQ(features.of(files[1].string(), {}).size(0), 5);
  }
}

}  // namespace
}  // namespace excitor
