#include <excitor/run/training_run.h>

#include <algorithm>
#include <chrono>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/run_report.h>
#include <excitor/run/plan_run.h>
#include <excitor/run/run_data.h>
#include <excitor/run/run_images.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/util/signals.h>
#include <excitor/util/system.h>
#include <excitor/version.h>

#include "save_model.h"

namespace excitor {
namespace {

/// The first words, and dots for the others.
std::string join_first(const std::vector<std::string>& words, size_t most) {
  return fmt::format("{}{}", fmt::join(words.begin(), words.begin() + std::min(most, words.size()), ", "),
                     words.size() > most ? ", …" : "");
}

}  // namespace

TrainingRun::TrainingRun(RunConfig config, Group group, SharedInputs* shared)
    : config_(std::move(config)),
      group_(std::move(group)),
      folder_(config_.output_dir),
      shared_(shared),
      began_(shared ? seconds_since_process_start() : 0) {
  const LlamaConfig shape = config_.model.shape();
  if (config_.vision) tower_ = open_tower(config_);
  Problems problems;
  config_.method.method->check(shape, "method", problems);
  problems.throw_if_any(config_.source);
  config_.method.method->resolve(shape);
  resolved_ = write_run_config(config_);
}

RunOutcome TrainingRun::run(const RunPart& part) {
  const StopSignals signals;
  part_ = part;
  try {
    return load_and_train();
  } catch (const Interrupted&) {
    throw;
  } catch (const CommunicationError&) {
    throw;
  } catch (const std::exception& error) {
    group_.leave(error.what());
    throw;
  }
}

RunOutcome TrainingRun::load_and_train() {
  share_cores();
  examined_ = folder_.content();
  const int64_t first_step =
      std::stoll(group_.from_first("step", [this] { return std::to_string(examine_output_dir()); }));
  if (is_first()) folder_.check_writable();
  choose_device();
  load_data();
  load_base();
  join();
  make_parameters();
  const auto trainer = make_trainer();
  if (first_step > 0) restore(*trainer, first_step);
  broadcast_parameters();
  check_what_data_train(config_, *inputs_.train_data, parameters_);
  begin_folder(first_step);
  log_group(*trainer);
  record(start_event(*trainer), "run");
  try {
    return train(*trainer);
  } catch (const CommunicationError& error) {
    throw CommunicationError(error.what() + save_what_is_done(*trainer));
  } catch (const Interrupted&) {
    write_report();
    throw;
  } catch (...) {
    if (const std::string told = save_what_is_done(*trainer); !told.empty()) log::error("an error" + told);
    throw;
  }
}

void TrainingRun::begin_folder(int64_t first_step) {
  make_writable_folder(folder_.path());
  if (!is_first()) return log::open_file(folder_.path() / fmt::format("log-rank-{}.txt", group_.rank()));
  lock_.emplace(folder_.path());
  if (folder_.content() != examined_) {
    throw ConfigError(fmt::format(
        "output_dir {}: another run has been at work there while this one was loading; start again to go on "
        "from what it left",
        folder_.path().string()));
  }
  folder_.begin(resolved_);
  folder_.cut_metrics(first_step);
  restore_best(first_step > 0 ? folder_.checkpoints().folder_of(first_step) : std::filesystem::path());
  log::open_file(folder_.log_file());
  record_.emplace(folder_, config_.logging.tensorboard);
}

int64_t TrainingRun::examine_output_dir() const {
  const RunState state = folder_.state();
  if (state == RunState::none) return 0;
  const std::string where = fmt::format("output_dir {}", folder_.path().string());
  if (config_.checkpoint.resume == Resume::never) {
    throw ConfigError(where +
                      " holds files of a run already and checkpoint.resume is \"never\"; choose another "
                      "output_dir or remove it");
  }
  const std::vector<std::string> different = differing_keys(folder_.recorded_config(), resolved_);
  if (!different.empty()) {
    throw ConfigError(
        fmt::format("{} holds a run of another configuration ({} keys differ: {}); choose another "
                    "output_dir, or remove it",
                    where, different.size(), join_first(different, 8)));
  }
  if (state == RunState::finished) {
    throw ConfigError(where +
                      " holds this run, finished; choose another output_dir to train again, or remove it");
  }
  const std::optional<int64_t> step = folder_.checkpoints().newest_intact();
  if (!step) {
    log::info(where + " holds this run, stopped before its first checkpoint: it starts anew");
    return 0;
  }
  check_same_steps(*step);
  log::info(fmt::format("{} holds this run, stopped: it goes on after step {}", where, *step));
  return *step;
}

void TrainingRun::make_parameters() {
  const LlamaConfig& shape = inputs_.base->model.config();
  Method& method = *config_.method.method;
  if (config_.method.adapter_path.empty()) {
    parameters_ =
        initialise(method.parameters(shape), static_cast<uint64_t>(config_.train.seed),
                   at::TensorOptions(at::kFloat).device(device_.device),
                   [this](const std::string& name) { return base_weight(inputs_.base->model, name); });
  } else {
    const AdapterExpectation expected{.base_fingerprint = inputs_.base->fingerprint,
                                      .tokenizer_sha256 = inputs_.tokenizer->sha256()};
    LoadedAdapter adapter = load_adapter(config_.method.adapter_path, shape, expected, device_.device);
    parameters_ = std::move(adapter.parameters);
    first_vision_ = std::move(adapter.origin.vision);
    vision_origin();  // throws for another tower
  }
  bypass_ = method.bypass(shape, parameters_);
}

std::unique_ptr<Trainer> TrainingRun::make_trainer() {
  at::globalContext().setDeterministicAlgorithms(is_deterministic(), /*warn_only=*/true);
  // LibTorch would then also write NaN into each new tensor before its first use, for nothing.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  return std::make_unique<Trainer>(TrainingTask{
      .communicator = *communicator_,
      .model = inputs_.base->model,
      .bypass = *bypass_,
      .parameters = parameters_,
      .dataset = *inputs_.train_data,
      .settings = config_.train,
      .limits = micro_batch_limits(config_),
      .shuffle = config_.data.shuffle,
      .weights = inputs_.train_weights,
      .images = inputs_.images.get(),
      .trained_by =
          [this](std::string_view parameter) { return config_.method.method->trained_by(parameter); },
      .requests =
          [] {
            return StepRequests{.stop_signal = StopSignals::requested(),
                                .save = StopSignals::take_save_request()};
          }});
}

Unfinished TrainingRun::due_after(const Trainer& trainer) const {
  if (evaluation_is_due(trainer, trainer.steps_done())) return Unfinished::evaluation;
  return is_at_rung(trainer) ? Unfinished::rung : Unfinished::nothing;
}

RunOutcome TrainingRun::train(Trainer& trainer) {
  make_evaluation();
  const int64_t first_step = trainer.steps_done();
  if (is_first()) progress_.emplace(trainer.total_steps(), first_step);
  const Unfinished unfinished = state_.unfinished;
  if (first_step == 0 || unfinished == Unfinished::evaluation || unfinished == Unfinished::tasks)
    evaluate(trainer);
  if (unfinished != Unfinished::nothing && is_at_rung(trainer)) evaluate_rung(trainer);
  probe_memory(trainer);
  last_save_ = std::chrono::steady_clock::now();
  StepProfile profile(is_first() ? config_.logging.profile : std::nullopt, folder_.path() / "trace.json");
  int64_t tokens = 0;
  const auto ends = [&] { return trainer.finished() || should_stop_early(); };
  while (!ends() && !is_paused(trainer)) {
    profile.begin(trainer.steps_done() + 1);
    const StepMetrics step = trainer.step();
    state_.unfinished = due_after(trainer);  // if an error comes in between
    end_profiled_step(profile, step.step);
    tokens += step.tokens;
    record_step(step);
    check_all_moved(trainer);
    if (progress_) progress_->update(step);
    if (evaluation_is_due(trainer, step.step)) evaluate(trainer);
    if (ends()) break;
    if (is_at_rung(trainer)) evaluate_rung(trainer);
    if (!is_paused(trainer)) save_if_due(trainer, step.requests);
  }
  if (!ends()) return pause(trainer);
  if (is_first()) finish(trainer, first_step, tokens);
  return RunOutcome::finished;
}

void TrainingRun::finish(const Trainer& trainer, int64_t first_step, int64_t tokens) {
  if (should_stop_early()) {
    log::info(fmt::format("step {}: stopped early, no lower eval loss since step {} ({:.4f})",
                          trainer.steps_done(), state_.best.step, *state_.best.eval_loss));
  }
  save_result();
  record({{"event", "end"},
          {"step", trainer.steps_done()},
          {"stopped_early", should_stop_early()},
          {"steps_of_this_start", trainer.steps_done() - first_step},
          {"tokens_of_this_start", tokens},
          {"seconds", seconds()},
          {"peak_memory_bytes", peak_memory()}},
         "run");
  write_report();
  folder_.checkpoints().remove_all();
}

void TrainingRun::end_profiled_step(StepProfile& profile, int64_t step) {
  if (!profile.is_recording()) return;
  if (device_.cuda) device_.cuda->synchronise(device_.gpu());
  if (!profile.end(step)) return;
  clear_progress();
  log::info(fmt::format("the trace of steps {} to {} lies in {}", config_.logging.profile->first_step, step,
                        (folder_.path() / "trace.json").string()));
}

void TrainingRun::probe_memory(Trainer& trainer) const {
  log::info("memory plan: " +
            plan_run(config_, inputs_.base->model.config(), *inputs_.train_data, group_.size()).text());
  constexpr int64_t kLongRun = 100;  // below, the probe costs more than it saves
  if (!config_.train.memory_probe.value_or(trainer.total_steps() > kLongRun)) return;
  const int64_t tokens = trainer.probe_memory();
  log::info(fmt::format("the largest micro-batch, {} tokens, takes a peak of {:.2f} GiB", tokens,
                        static_cast<double>(peak_memory()) / (1 << 30)));
}

void TrainingRun::check_finite(const StepMetrics& s) {
  state_.bad_steps_in_a_row = s.is_finite ? 0 : state_.bad_steps_in_a_row + 1;
  if (s.is_finite) return;
  if (s.step == 1) {
    throw CheckpointError(
        "step 1: the loss or its gradients are not finite before anything was trained: the weights hold NaN "
        "or infinity, or train.precision is too small for them; try train.precision=fp32");
  }
  std::vector<std::string> origins;
  for (const int64_t index : s.examples) origins.push_back(inputs_.train_data->example(index).origin);
  clear_progress();
  log::warning(
      fmt::format("step {}: loss or gradients are not finite; the update is left out. Its examples: {}",
                  s.step, join_first(origins, 32)));
  if (state_.bad_steps_in_a_row >= config_.train.max_nonfinite_steps) {
    throw CheckpointError(fmt::format(
        "step {}: loss or gradients were not finite {} times in a row (train.max_nonfinite_steps); lower "
        "train.learning_rate, or use train.precision=fp32",
        s.step, state_.bad_steps_in_a_row));
  }
}

void TrainingRun::check_all_moved(const Trainer& trainer) {
  const std::vector<std::string>& still = trainer.newly_still();
  if (still.empty()) return;
  clear_progress();
  log::error(fmt::format(
      "no gradient has reached {} of {} trainable tensors in the 3 steps that train them: {}; they "
      "do not learn with these settings",
      still.size(), parameters_.size(), join_first(still, 8)));
  record({{"event", "never_moved"}, {"step", trainer.steps_done()}, {"parameters", still}}, "run");
}

int64_t TrainingRun::peak_memory() const {
  return device_.cuda != nullptr ? device_.cuda->memory(device_.gpu()).peak_allocated : peak_memory_bytes();
}

void TrainingRun::record_step(const StepMetrics& s) {
  check_finite(s);
  if (record_ && s.step % config_.logging.logging_steps == 0) record_->step(s, peak_memory());
}

void TrainingRun::record(const Json& event, std::string_view group) {
  if (record_) record_->event(event, group);
}

void TrainingRun::clear_progress() {
  if (progress_) progress_->clear();
}

void TrainingRun::write_report() const {
  if (!is_first()) return;
  try {
    write_run_report(folder_.path(), folder_.path() / "report.html");
  } catch (const std::exception& error) {
    log::warning(fmt::format("report.html is not up to date: {}", error.what()));
  }
}

Json TrainingRun::start_event(const Trainer& trainer) const {
  int64_t base_parameters = 0;
  for (const auto& weight : weight_shapes(inputs_.base->model.config()))
    base_parameters += ParameterSpec{weight.name, weight.shape, {}}.numel();
  const double startup = seconds();
  log::info(fmt::format("{}: {} trainable beside {} frozen parameters; {} steps; ready after {:.2f} s",
                        config_.method.type, parameters_.numel(), base_parameters, trainer.total_steps(),
                        startup));
  return {{"event", "start"},
          {"version", kVersion},
          {"step", trainer.steps_done()},
          {"total_steps", trainer.total_steps()},
          {"steps_per_epoch", trainer.steps_per_epoch()},
          {"train_examples", inputs_.train_data->size()},
          {"validation_examples", inputs_.validation_data->size()},
          {"trainable_parameters", parameters_.numel()},
          {"base_parameters", base_parameters},
          {"base_dtype", dtype_name(inputs_.base->model.weights().final_norm.scalar_type())},
          {"activation_dtype", dtype_name(inputs_.base->model.activation_type())},
          {"base_fingerprint", inputs_.base->fingerprint},
          {"tokenizer_sha256", inputs_.tokenizer->sha256()},
          {"data_sha256", inputs_.data_sha256},
          {"config_sha256", sha256_hex(resolved_.dump())},
          {"device", device_.device.str()},
          {"processes", group_.size()},
          {"examples_per_step", config_.train.examples_per_step(group_.size())},
          {"reduced_bytes_per_step", trainer.reduced_bytes()},
          {"threads", at::get_num_threads()},
          {"startup_seconds", startup}};
}

double TrainingRun::seconds() const {
  return seconds_since_process_start() - began_;
}

Origins TrainingRun::origins() const {
  return {.base_fingerprint = inputs_.base->fingerprint,
          .tokenizer_sha256 = inputs_.tokenizer->sha256(),
          .data_sha256 = inputs_.data_sha256};
}

AdapterOrigin TrainingRun::origin() const {
  return {.base_model_name_or_path = config_.model.path,
          .base_fingerprint = inputs_.base->fingerprint,
          .tokenizer_sha256 = inputs_.tokenizer->sha256(),
          .prompt_template = config_.data.prompt_template,
          .vision = vision_origin()};
}

}  // namespace excitor
