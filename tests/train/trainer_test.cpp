#include <excitor/train/trainer.h>

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/util/error.h>

#include "model/tiny_llama.h"
#include "sentences.h"
#include "tensor/numeric_gradient.h"

namespace excitor {
namespace {

/// A run of `steps` steps of LoRA with dropout, from the same start, laid out as asked.
struct Outcome {
  std::vector<double> losses, norms;
  std::vector<at::Tensor> parameters;
};

struct Layout {
  int64_t micro_batch_size = 1;
  int64_t accumulation = 1;
  MicroBatchLimits limits;
};

/// A bypass that has memory for some tokens only.
class SmallMemory : public ModelBypass {
 public:
  SmallMemory(const ModelBypass& bypass, int64_t tokens) : bypass_(bypass), tokens_(tokens) {}
  const LayerBypass& layer(int64_t index) const override {
    if (index > 0 && computing_ > tokens_) throw std::bad_alloc();
    return bypass_.layer(index);
  }
  at::Tensor embed(const Linear& frozen, const at::Tensor& ids) const override {
    computing_ = ids.size(0);
    return bypass_.embed(frozen, ids);
  }

 private:
  const ModelBypass& bypass_;
  int64_t tokens_;
  mutable int64_t computing_ = 0;
};

class TrainerTest : public testing::Test {
 protected:
  Outcome train(const Layout& layout, int64_t steps, int64_t stop_and_resume_after = -1) {
    ParameterSet parameters = fresh();
    TrainSettings settings;
    settings.micro_batch_size = layout.micro_batch_size;
    settings.gradient_accumulation_steps = layout.accumulation;
    settings.max_steps = steps;
    settings.learning_rate = 1e-2;
    const auto bypass = method_->bypass(base_.model.config(), parameters);
    const SmallMemory limited(*bypass, small_memory_);
    const auto make = [&] {
      return Trainer({.communicator = *alone_,
                      .model = base_.model,
                      .bypass = limited,
                      .parameters = parameters,
                      .dataset = data_,
                      .settings = settings,
                      .limits = layout.limits});
    };
    Outcome outcome;
    Trainer trainer = make();
    if (probe_) trainer.probe_memory();
    while (!trainer.finished()) {
      if (trainer.steps_done() == stop_and_resume_after) {
        std::map<std::string, at::Tensor> state;
        for (const auto& [name, tensor] : trainer.state()) state[name] = tensor.clone();
        Trainer again = make();
        again.resume(trainer.steps_done(), [&](const std::string& name) { return state.at(name); });
        collect(again, outcome);
        break;
      }
      step(trainer, outcome);
    }
    for (const auto& entry : parameters.entries())
      outcome.parameters.push_back(entry.tensor.detach().clone());
    return outcome;
  }

  void step(Trainer& trainer, Outcome& outcome) {
    const StepMetrics metrics = trainer.step();
    outcome.losses.push_back(metrics.loss);
    outcome.norms.push_back(metrics.grad_norm);
  }
  void collect(Trainer& trainer, Outcome& outcome) {
    while (!trainer.finished()) step(trainer, outcome);
  }

  ParameterSet fresh() {
    Problems problems;
    read_settings(
        Json::parse(R"({"r": 2, "lora_dropout": 0.2, "target_modules": "all-linear"})"),
        [&](Describer& d) { method_->describe(d); }, {}, problems);
    problems.throw_if_any("test");
    return initialise(method_->parameters(base_.model.config()), 5, at::TensorOptions(at::kDouble), nullptr);
  }

  std::unique_ptr<Communicator> alone_ = single_process();
  int64_t small_memory_ = 1 << 20;  ///< tokens that memory suffices for
  bool probe_ = false;
  LoadedModel base_ = test::tiny_llama(test::tiny_config());
  std::unique_ptr<Method> method_ = make_method("lora");
  test::Sentences data_{{9, 4, 12, 7, 3, 10, 8, 5}};
};

TEST_F(TrainerTest, LossAndUpdateDoNotDependOnTheSplitIntoMicroBatches) {
  const Outcome whole = train({.micro_batch_size = 8, .limits = {.packing = true, .max_tokens = 1000}}, 4);
  const std::vector<Layout> layouts = {
      {.micro_batch_size = 1, .accumulation = 8, .limits = {.packing = false, .max_examples = 1}},
      {.micro_batch_size = 4, .accumulation = 2, .limits = {.packing = false, .max_examples = 4}},
      {.micro_batch_size = 2, .accumulation = 4, .limits = {.packing = true, .max_tokens = 20}}};
  for (const Layout& layout : layouts) {
    const Outcome split = train(layout, 4);
    for (size_t i = 0; i < whole.losses.size(); ++i) {
      EXPECT_NEAR(split.losses[i], whole.losses[i], 1e-9);
      EXPECT_NEAR(split.norms[i], whole.norms[i], 1e-9);
    }
    for (size_t i = 0; i < whole.parameters.size(); ++i) {
      EXPECT_LT(relative_difference(split.parameters[i], whole.parameters[i]), 1e-6);
    }
  }
}

TEST_F(TrainerTest, StoppedAndResumedInTheMiddleOfAnEpochItGivesTheSameBits) {
  const Layout layout{.micro_batch_size = 3, .limits = {.packing = true, .max_tokens = 30}};
  const Outcome straight = train(layout, 7), resumed = train(layout, 7, /*stop_and_resume_after=*/4);
  EXPECT_EQ(resumed.losses, straight.losses);
  for (size_t i = 0; i < straight.parameters.size(); ++i)
    EXPECT_TRUE(resumed.parameters[i].equal(straight.parameters[i]));
}

TEST_F(TrainerTest, WhenMemoryRunsOutMicroBatchesAreSplitWithTheSameResult) {
  const Outcome whole = train({.micro_batch_size = 8, .limits = {.max_tokens = 1000}}, 4);
  small_memory_ = 15;
  for (const bool packing : {true, false}) {
    const Outcome split = train(
        {.micro_batch_size = 8, .limits = {.packing = packing, .max_examples = 8, .max_tokens = 1000}}, 4);
    for (size_t i = 0; i < whole.losses.size(); ++i) {
      EXPECT_NEAR(split.losses[i], whole.losses[i], 1e-9);
      EXPECT_NEAR(split.norms[i], whole.norms[i], 1e-9);
    }
  }
}

TEST_F(TrainerTest, WhenOneExampleIsTooMuchMemoryItIsAnError) {
  small_memory_ = 8;
  EXPECT_THROW(train({.micro_batch_size = 8, .limits = {.max_tokens = 1000}}, 1), std::bad_alloc);
}

TEST_F(TrainerTest, TheMemoryProbeLeavesNoTrace) {
  const Outcome plain = train({.micro_batch_size = 3, .limits = {.max_tokens = 30}}, 4);
  probe_ = true;
  const Outcome probed = train({.micro_batch_size = 3, .limits = {.max_tokens = 30}}, 4);
  EXPECT_EQ(probed.losses, plain.losses);
  for (size_t i = 0; i < plain.parameters.size(); ++i)
    EXPECT_TRUE(probed.parameters[i].equal(plain.parameters[i]));
}

TEST_F(TrainerTest, ATensorThatNoGradientReachesIsNamed) {
  // B starts at zero: A has a gradient from the second step on.
  ParameterSet parameters = fresh();
  auto bypass = method_->bypass(base_.model.config(), parameters);
  Trainer trainer({.communicator = *alone_,
                   .model = base_.model,
                   .bypass = *bypass,
                   .parameters = parameters,
                   .dataset = data_});
  trainer.step();
  EXPECT_EQ(trainer.never_moved().size(), parameters.size() / 2);
  EXPECT_TRUE(trainer.never_moved().begin()->ends_with("lora_A.weight"));
  trainer.step();
  EXPECT_TRUE(trainer.never_moved().empty());
  EXPECT_GT(trainer.gradient_norms().at("mlp.up_proj.lora_A.weight"), 0);
}

TEST(LossScaler, IsHalvedUntilGradientsFitAndGrowsAgain) {
  LossScaler scaler(/*enabled=*/true);
  EXPECT_EQ(scaler.scale(), 65536);
  EXPECT_TRUE(scaler.back_off());
  EXPECT_EQ(scaler.scale(), 32768);
  for (int i = 0; i < 1999; ++i) scaler.succeed();
  EXPECT_EQ(scaler.scale(), 32768);
  scaler.succeed();
  EXPECT_EQ(scaler.scale(), 65536);
  while (scaler.back_off()) {
  }
  EXPECT_EQ(scaler.scale(), 1);
}

TEST(LossScaler, OutsideFp16ItDoesNothing) {
  LossScaler scaler(/*enabled=*/false);
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_FALSE(scaler.back_off());
  EXPECT_TRUE(scaler.state().empty());
}

/// How often a tensor's value was asked for as a number, in this thread: on a GPU each makes the host wait.
class ScalarReads {
 public:
  ScalarReads() : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&count))) { reads_ = 0; }
  ~ScalarReads() { at::removeCallback(handle_); }
  static int64_t count() { return reads_; }

 private:
  static std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
    if (std::string_view(function.name()) == "aten::_local_scalar_dense") ++reads_;
    return nullptr;
  }
  static inline thread_local int64_t reads_ = 0;
  at::CallbackHandle handle_;
};

TEST_F(TrainerTest, AStepAsksForNoNumberAlone) {
  ParameterSet parameters = fresh();
  const auto bypass = method_->bypass(base_.model.config(), parameters);
  Trainer trainer({.communicator = *alone_,
                   .model = base_.model,
                   .bypass = *bypass,
                   .parameters = parameters,
                   .dataset = data_,
                   .settings = {.max_steps = 2}});
  const ScalarReads reads;
  EXPECT_GT(trainer.step().grad_norm, 0);
  EXPECT_EQ(ScalarReads::count(), static_cast<int64_t>(parameters.size()))
      << "AdamW's operator for CPUs reads a count of steps for each parameter; loss, norms and sums come to "
         "the host in one copy";
}

TEST_F(TrainerTest, LossFalls) {
  const Outcome outcome = train({.micro_batch_size = 8, .limits = {.max_tokens = 1000}}, 30);
  EXPECT_LT(outcome.losses.back(), 0.7 * outcome.losses.front());
}

TEST(LearningRateSchedule, RisesToThePeakAndFallsToTheMinimum) {
  TrainSettings settings;
  settings.learning_rate = 2;
  settings.min_learning_rate = 0.5;
  settings.max_steps = 12;
  settings.warmup_steps = 2;
  const LearningRateSchedule cosine(settings, 100);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(0), 1);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(1), 2);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(2), 2);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(7), 1.25);  // half way: the mean of peak and minimum
  EXPECT_DOUBLE_EQ(cosine.learning_rate(12), 0.5);
  settings.lr_scheduler_type = LrScheduler::linear;
  EXPECT_DOUBLE_EQ(LearningRateSchedule(settings, 100).learning_rate(4), 2 - 1.5 * 0.2);
  settings.lr_scheduler_type = LrScheduler::constant;
  EXPECT_DOUBLE_EQ(LearningRateSchedule(settings, 100).learning_rate(11), 2);
}

TEST(LearningRateSchedule, EpochsAndRatioBecomeSteps) {
  TrainSettings settings;
  settings.epochs = 1.5;
  settings.warmup_ratio = 0.1;
  const LearningRateSchedule schedule(settings, /*steps_per_epoch=*/25);
  EXPECT_EQ(schedule.total_steps(), 38);
  EXPECT_EQ(schedule.warmup_steps(), 4);
}

TEST(AdamW, FollowsThePaperAndDecaysMatricesOnly) {
  ParameterSet parameters;
  const at::Tensor matrix = at::randn({3, 2}, at::kDouble), vector = at::randn({4}, at::kDouble);
  parameters.add("matrix", matrix.clone());
  parameters.add("vector", vector.clone());
  AdamW optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1});
  at::Tensor expected[] = {matrix.clone(), vector.clone()},
             m[] = {at::zeros_like(matrix), at::zeros_like(vector)},
             v[] = {at::zeros_like(matrix), at::zeros_like(vector)};
  for (int step = 1; step <= 3; ++step) {
    for (int i = 0; i < 2; ++i) {
      const at::Tensor grad = at::randn(expected[i].sizes(), at::kDouble);
      parameters.entries()[i].tensor.mutable_grad() = grad;
      m[i] = 0.9 * m[i] + 0.1 * grad;
      v[i] = 0.99 * v[i] + 0.01 * grad * grad;
      const at::Tensor mean = m[i] / (1 - std::pow(0.9, step)), square = v[i] / (1 - std::pow(0.99, step));
      expected[i] = expected[i] * (1 - 0.05 * (i == 0 ? 0.1 : 0)) - 0.05 * mean / (square.sqrt() + 1e-8);
    }
    optimizer.step(0.05);
  }
  for (int i = 0; i < 2; ++i)
    EXPECT_LT(relative_difference(parameters.entries()[i].tensor, expected[i]), 1e-6);
}

TEST(AdamW, AParameterWithoutAGradientDoesNotMove) {
  ParameterSet parameters;
  parameters.add("used", at::randn({3}));
  parameters.add("unused", at::randn({3, 3}));
  const at::Tensor before = parameters.at("unused").detach().clone();
  AdamW optimizer(parameters, {.weight_decay = 0.5});
  parameters.entries()[0].tensor.mutable_grad() = at::randn({3});
  optimizer.step(0.1);
  EXPECT_TRUE(parameters.at("unused").equal(before));
}

TEST(ClipGradNorm, ScalesAllGradientsToTheJointNorm) {
  ParameterSet parameters;
  parameters.add("a", at::zeros({2}));
  parameters.add("b", at::zeros({2}));
  parameters.entries()[0].tensor.mutable_grad() = at::full({2}, 3.0f);
  parameters.entries()[1].tensor.mutable_grad() = at::full({2}, 4.0f);
  const double norm = std::sqrt(2 * 9 + 2 * 16);
  EXPECT_NEAR(clip_grad_norm(parameters, 0).total.item<double>(), norm, 1e-5);
  EXPECT_FLOAT_EQ(parameters.entries()[0].tensor.grad()[0].item<float>(), 3);
  clip_grad_norm(parameters, 1);
  EXPECT_NEAR(parameters.entries()[0].tensor.grad()[0].item<double>(), 3 / norm, 1e-6);
}

}  // namespace
}  // namespace excitor
