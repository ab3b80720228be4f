#include "training_run.h"

#include <algorithm>
#include <chrono>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/util/signals.h>
#include <excitor/util/system.h>
#include <excitor/version.h>

#include "save_model.h"
#include "session.h"

namespace excitor {
namespace {

at::ScalarType activation_type(Precision precision, at::ScalarType base) {
  switch (precision) {
    case Precision::fp32:
      return at::kFloat;
    case Precision::bf16:
      return at::kBFloat16;
    case Precision::fp16:
      return at::kHalf;
    case Precision::automatic:
      break;
  }
  return base;
}

std::string describe_data(const DatasetReport& r) {
  std::string text = fmt::format("{} examples, {} tokens ({} labels), longest {}", r.examples, r.tokens,
                                 r.label_tokens, r.longest);
  if (r.truncated > 0) text += fmt::format("; {} cut to max_seq_length", r.truncated);
  if (r.continued > 0) text += fmt::format("; {} documents go on in further windows", r.continued);
  if (r.dropped > 0) text += fmt::format("; {} left out for their length", r.dropped);
  return text;
}

/// A tensor of a checkpoint, which must have the shape that the run needs.
at::Tensor load_like(const SafetensorsFile& file, const std::string& name, at::IntArrayRef shape) {
  const at::Tensor tensor = file.load(name);
  if (tensor.sizes() == shape) return tensor;
  throw CheckpointError(fmt::format(
      "{}: {} has shape [{}], expected [{}]; the checkpoint is damaged: remove its folder to go on from the "
      "one before",
      file.path().string(), name, fmt::join(tensor.sizes(), ", "), fmt::join(shape, ", ")));
}

/// The first words, and dots for the others.
std::string join_first(const std::vector<std::string>& words, size_t most) {
  return fmt::format("{}{}", fmt::join(words.begin(), words.begin() + std::min(most, words.size()), ", "),
                     words.size() > most ? ", …" : "");
}

}  // namespace

TrainingRun::TrainingRun(RunConfig config) : config_(std::move(config)), folder_(config_.output_dir) {
  const LlamaConfig shape = config_.model.init ? *config_.model.init : read_llama_config(config_.model.path);
  Problems problems;
  config_.method.method->check(shape, "method", problems);
  problems.throw_if_any(config_.source);
  config_.method.method->resolve(shape);
  resolved_ = write_run_config(config_);
}

void TrainingRun::run() {
  const StopSignals signals;
  const int64_t first_step = examine_output_dir();
  folder_.check_writable();
  load_data();
  load_model();
  make_parameters();
  const auto trainer = make_trainer();
  if (first_step > 0) restore(*trainer, first_step);

  make_writable_folder(folder_.path());
  const FolderLock lock(folder_.path());
  folder_.begin(resolved_);
  folder_.cut_metrics(first_step);
  log::open_file(folder_.log_file());
  if (config_.logging.tensorboard) tensorboard_.emplace(folder_.path());
  AppendFile metrics(folder_.metrics_file());
  metrics.append_line(start_event(*trainer).dump());
  train(*trainer, metrics);
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
  const std::vector<int64_t> steps = folder_.checkpoints();
  if (steps.empty()) {
    log::info(where + " holds this run, stopped before its first checkpoint: it starts anew");
    return 0;
  }
  log::info(fmt::format("{} holds this run, stopped: it goes on after step {}", where, steps.back()));
  return steps.back();
}

void TrainingRun::load_data() {
  const std::string& place = config_.model.tokenizer.empty() ? config_.model.path : config_.model.tokenizer;
  tokenizer_ = load_tokenizer(place);
  LoadedDataset loaded = load_dataset(config_.data.train, config_.data, *tokenizer_);
  log::info("training data: " + describe_data(loaded.report));
  std::tie(train_data_, validation_data_) = split_dataset(std::move(loaded.dataset), config_.data.val_size);
  if (!config_.data.validation.empty()) {
    LoadedDataset validation = load_dataset(config_.data.validation, config_.data, *tokenizer_);
    log::info("validation data: " + describe_data(validation.report));
    validation_data_ = std::move(validation.dataset);
  }
  if (config_.eval.forgetting) {
    const DataFileSettings file{.path = config_.eval.forgetting->path, .format = "text"};
    held_out_data_ = load_dataset({file}, config_.data, *tokenizer_).dataset;
  }
}

void TrainingRun::load_model() {
  const at::ScalarType type = resolve_dtype(config_.model.dtype);
  base_.emplace(config_.model.init
                    ? random_llama(*config_.model.init, static_cast<uint64_t>(config_.train.seed), type)
                    : load_hugging_face(config_.model.path, type));
  base_->model.set_activation_type(activation_type(config_.train.precision, type));
  const int64_t rows = base_->model.config().vocab_size;
  if (tokenizer_->vocab_size() > rows) {
    throw CheckpointError(fmt::format(
        "the tokenizer has {} tokens, but the embedding of {} has {} rows; they do not belong together",
        tokenizer_->vocab_size(), config_.model.path, rows));
  }
}

void TrainingRun::make_parameters() {
  const LlamaConfig& shape = base_->model.config();
  Method& method = *config_.method.method;
  if (config_.method.adapter_path.empty()) {
    parameters_ = initialise(method.parameters(shape), static_cast<uint64_t>(config_.train.seed),
                             at::TensorOptions(at::kFloat),
                             [this](const std::string& name) { return base_weight(base_->model, name); });
  } else {
    const AdapterExpectation expected{.base_fingerprint = base_->fingerprint,
                                      .tokenizer_sha256 = tokenizer_->sha256()};
    parameters_ = load_adapter(config_.method.adapter_path, shape, expected).parameters;
  }
  bypass_ = method.bypass(shape, parameters_);
}

std::unique_ptr<Trainer> TrainingRun::make_trainer() {
  at::globalContext().setDeterministicAlgorithms(config_.train.deterministic, /*warn_only=*/true);
  return std::make_unique<Trainer>(TrainingTask{.model = base_->model,
                                                .bypass = *bypass_,
                                                .parameters = parameters_,
                                                .dataset = *train_data_,
                                                .settings = config_.train,
                                                .limits = limits(),
                                                .shuffle = config_.data.shuffle});
}

MicroBatchLimits TrainingRun::limits() const {
  return {.packing = config_.data.packing,
          .max_examples = config_.train.micro_batch_size,
          .max_tokens = config_.train.micro_batch_tokens.value_or(config_.train.micro_batch_size *
                                                                  config_.data.max_seq_length)};
}

void TrainingRun::restore(Trainer& trainer, int64_t step) {
  const auto folder = folder_.checkpoint_folder(step);
  const auto values = SafetensorsFile::open(folder / "adapter" / "adapter_model.safetensors");
  const auto state = SafetensorsFile::open(folder / "optimizer.safetensors");
  for (const auto& [name, tensor] : parameters_.entries())
    tensor.detach().copy_(load_like(*values, name, tensor.sizes()));
  std::map<std::string, at::Tensor> shapes;
  for (const auto& [name, tensor] : trainer.state()) shapes[name] = tensor;
  trainer.resume(step,
                 [&](const std::string& name) { return load_like(*state, name, shapes.at(name).sizes()); });
}

void TrainingRun::train(Trainer& trainer, AppendFile& metrics) {
  Progress progress(trainer.total_steps(), trainer.steps_done());
  auto last_save = std::chrono::steady_clock::now();
  if (trainer.steps_done() == 0) evaluate(0, metrics, &progress);
  const int64_t first_step = trainer.steps_done();
  int64_t tokens = 0;
  while (!trainer.finished()) {
    const StepMetrics step = trainer.step();
    tokens += step.tokens;
    record_step(step, metrics);
    progress.update(step);
    if (evaluation_is_due(trainer, step)) evaluate(step.step, metrics, &progress);
    const std::chrono::duration<double> since_save = std::chrono::steady_clock::now() - last_save;
    const auto& every = config_.checkpoint;
    const int signal = StopSignals::requested();
    const bool due = (every.save_steps && step.step % *every.save_steps == 0) ||
                     (every.save_seconds && since_save.count() >= *every.save_seconds);
    if (!trainer.finished() && (due || signal != 0)) {
      save_checkpoint(trainer);
      last_save = std::chrono::steady_clock::now();
    }
    if (!trainer.finished() && signal != 0) {
      progress.clear();
      throw Interrupted(fmt::format("stopped after step {}; the same command goes on from {}", step.step,
                                    folder_.checkpoint_folder(step.step).string()),
                        signal);
    }
  }
  save_result();
  metrics.append_line(Json{{"event", "end"},
                           {"step", trainer.steps_done()},
                           {"steps_of_this_start", trainer.steps_done() - first_step},
                           {"tokens_of_this_start", tokens},
                           {"seconds", seconds_since_process_start()},
                           {"peak_memory_bytes", peak_memory_bytes()}}
                          .dump());
  std::error_code ignored;
  std::filesystem::remove_all(folder_.path() / "checkpoints", ignored);
}

void TrainingRun::check_finite(const StepMetrics& s) {
  constexpr int64_t kMostInARow = 10;
  bad_steps_in_a_row_ = s.is_finite ? 0 : bad_steps_in_a_row_ + 1;
  if (s.is_finite) return;
  if (s.step == 1) {
    throw CheckpointError(
        "step 1: the loss or its gradients are not finite before anything was trained: the weights hold NaN "
        "or infinity, "
        "or train.precision is too small for them; try train.precision=fp32");
  }
  if (bad_steps_in_a_row_ == kMostInARow) {
    throw CheckpointError(fmt::format(
        "step {}: loss or gradients were not finite {} times in a row; lower train.learning_rate, or use "
        "train.precision=fp32",
        s.step, kMostInARow));
  }
  log::warning(fmt::format("step {}: loss or gradients are not finite; the update is left out", s.step));
}

void TrainingRun::record_step(const StepMetrics& s, AppendFile& metrics) {
  check_finite(s);
  if (s.step % config_.logging.logging_steps != 0) return;
  const Json event = {{"event", "step"},
                      {"step", s.step},
                      {"epoch", s.epoch},
                      {"loss", s.loss},
                      {"learning_rate", s.learning_rate},
                      {"grad_norm", s.grad_norm},
                      {"tokens", s.tokens},
                      {"label_tokens", s.label_tokens},
                      {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds},
                      {"seconds", s.seconds},
                      {"peak_memory_bytes", peak_memory_bytes()}};
  record_scalars(event, "train");
  metrics.append_line(event.dump());
}

void TrainingRun::record_scalars(const Json& event, std::string_view group) {
  if (!tensorboard_) return;
  const auto step = event["step"].get<int64_t>();
  for (const auto& [key, value] : event.items()) {
    if (key == "step" || !value.is_number()) continue;
    tensorboard_->scalar(fmt::format("{}/{}", group, key), step, value.get<double>());
  }
}

bool TrainingRun::evaluation_is_due(const Trainer& trainer, const StepMetrics& step) const {
  if (trainer.finished()) return true;
  const int64_t every = config_.eval.eval_steps.value_or(trainer.steps_per_epoch());
  return step.step % every == 0;
}

void TrainingRun::evaluate(int64_t step, AppendFile& metrics, Progress* progress) {
  const bool has_validation = validation_data_->size() > 0;
  if (!has_validation && !held_out_data_) return;
  Json event = {{"event", "eval"}, {"step", step}};
  std::string text = fmt::format("step {}:", step);
  if (has_validation) {
    if (!base_validation_)
      base_validation_ = evaluate_loss(base_->model, nullptr, *validation_data_, limits());
    const EvalMetrics tuned = evaluate_loss(base_->model, bypass_.get(), *validation_data_, limits());
    event.update({{"eval_loss", tuned.loss},
                  {"base_loss", base_validation_->loss},
                  {"label_tokens", tuned.label_tokens}});
    text += fmt::format(" eval loss {:.4f} (base {:.4f})", tuned.loss, base_validation_->loss);
  }
  if (held_out_data_) {
    if (!base_held_out_) base_held_out_ = evaluate_loss(base_->model, nullptr, *held_out_data_, limits());
    const EvalMetrics tuned = evaluate_loss(base_->model, bypass_.get(), *held_out_data_, limits());
    const double forgetting = tuned.loss - base_held_out_->loss;
    event.update({{"held_out_loss", tuned.loss},
                  {"held_out_base_loss", base_held_out_->loss},
                  {"forgetting", forgetting}});
    text += fmt::format(" forgetting {:+.4f} (held-out loss {:.4f})", forgetting, tuned.loss);
  }
  record_scalars(event, "eval");
  metrics.append_line(event.dump());
  if (progress) progress->clear();
  log::info(text);
}

void TrainingRun::save_checkpoint(const Trainer& trainer) const {
  make_writable_folder(folder_.path() / "checkpoints");
  write_folder_atomically(
      folder_.checkpoint_folder(trainer.steps_done()), [&](const std::filesystem::path& temporary) {
        save_adapter(temporary / "adapter", *config_.method.method, parameters_, origin());
        write_safetensors(temporary / "optimizer.safetensors", trainer.state());
        write_file_atomically(temporary / "state.json",
                              Json{{"step", trainer.steps_done()}, {"version", kVersion}}.dump(2) + "\n");
      });
  folder_.remove_old_checkpoints(config_.checkpoint.save_total_limit);
}

void TrainingRun::save_result() const {
  if (!config_.method.method->trains_whole_model()) {
    save_adapter(folder_.adapter_folder(), *config_.method.method, parameters_, origin());
    log::info("the adapter lies in " + folder_.adapter_folder().string());
    return;
  }
  const std::string& asked = config_.method.save_dtype;
  const at::ScalarType type = parse_dtype(asked == "auto" ? base_->stored_type : asked);
  save_hugging_face(
      folder_.model_folder(),
      {.config = base_->model.config(),
       .parameters = parameters_,
       .type = type,
       .tokenizer_source = config_.model.tokenizer.empty() ? config_.model.path : config_.model.tokenizer});
  log::info("the model lies in " + folder_.model_folder().string());
}

Json TrainingRun::start_event(const Trainer& trainer) const {
  int64_t base_parameters = 0;
  for (const auto& weight : weight_shapes(base_->model.config()))
    base_parameters += ParameterSpec{weight.name, weight.shape, {}}.numel();
  const double startup = seconds_since_process_start();
  log::info(fmt::format("{}: {} trainable beside {} frozen parameters; {} steps; ready after {:.2f} s",
                        config_.method.type, parameters_.numel(), base_parameters, trainer.total_steps(),
                        startup));
  return {{"event", "start"},
          {"version", kVersion},
          {"step", trainer.steps_done()},
          {"total_steps", trainer.total_steps()},
          {"steps_per_epoch", trainer.steps_per_epoch()},
          {"train_examples", train_data_->size()},
          {"validation_examples", validation_data_->size()},
          {"trainable_parameters", parameters_.numel()},
          {"base_parameters", base_parameters},
          {"base_dtype", dtype_name(base_->model.weights().final_norm.scalar_type())},
          {"activation_dtype", dtype_name(base_->model.activation_type())},
          {"base_fingerprint", base_->fingerprint},
          {"tokenizer_sha256", tokenizer_->sha256()},
          {"config_sha256", sha256_hex(resolved_.dump())},
          {"device", "cpu"},
          {"threads", at::get_num_threads()},
          {"startup_seconds", startup}};
}

AdapterOrigin TrainingRun::origin() const {
  return {.base_model_name_or_path = config_.model.path,
          .base_fingerprint = base_->fingerprint,
          .tokenizer_sha256 = tokenizer_->sha256(),
          .prompt_template = config_.data.prompt_template};
}

}  // namespace excitor
