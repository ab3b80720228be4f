// excitor check: proves a run before it costs hours. Each stage reports what it found and goes on, so that
// one call shows everything that is wrong.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/data/dataset.h>
#include <excitor/model/checkpoint.h>
#include <excitor/run/eval_tasks.h>
#include <excitor/run/plan_disk.h>
#include <excitor/run/plan_run.h>
#include <excitor/run/run_config.h>
#include <excitor/run/run_data.h>
#include <excitor/run/run_images.h>
#include <excitor/tensor/dtype.h>
#include <excitor/train/run_folder.h>
#include <excitor/util/error.h>

#include "commands.h"
#include "config_options.h"
#include "sample_view.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

struct CheckOptions {
  ConfigOptions config;
  int64_t sample = 0;
  bool json = false;
};

/// 7618560 -> "7,618,560"
std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

double gib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

double percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

class Check {
 public:
  explicit Check(const CheckOptions& options) : options_(options) {}

  /// Returns the exit code.
  int run() {
    stage("configuration", [&] { read_configuration(); });
    if (config_) {
      stage("model", [&] { check_model(); });
      if (shape_) stage("method", [&] { check_method(); });
      if (shape_ && !config_->model.init) stage("weights", [&] { check_stored_weights(); });
      stage("tokenizer", [&] { check_tokenizer(); });
      if (tokenizer_) stage("data", [&] { check_data(); });
      if (tokenizer_ && shape_) stage("tasks", [&] { check_tasks(); });
      if (dataset_) stage("sample", [&] { show_sample(); });
      if (dataset_ && shape_) stage("memory", [&] { check_memory(); });
      stage("disk", [&] { check_disk(); });
      stage("output_dir", [&] { check_output_dir(); });
    }
    return verdict();
  }

 private:
  /// Runs one stage; an error that it throws becomes a problem of the verdict.
  template <class F>
  void stage(const char* name, F&& check) {
    name_ = name;
    try {
      check();
    } catch (const Error& error) {
      if (problems_.empty()) exit_code_ = error.exit_code();
      problems_.push_back(error.what());
      line("FAILED: " + std::string(error.what()));
    }
  }

  void line(const std::string& text) {
    if (!options_.json) std::cout << fmt::format("{:<14} {}\n", name_, text) << std::flush;
    name_ = "";
  }

  void read_configuration() {
    config_ = read_run_config(options_.config.file, options_.config.overrides, missing_);
    line(fmt::format("{}: every key is known and in its range", config_->source));
  }

  void check_model() {
    shape_ = config_->model.shape();
    for (const auto& weight : weight_shapes(*shape_))
      base_parameters_ += ParameterSpec{weight.name, weight.shape, {}}.numel();
    line(fmt::format("{} layers, hidden {}, {} query and {} key heads of {}, vocabulary {}: {} parameters",
                     shape_->num_hidden_layers, shape_->hidden_size, shape_->query_heads(),
                     shape_->key_heads(), shape_->head_width(), shape_->vocab_size,
                     grouped(base_parameters_)));
    report_["base_parameters"] = base_parameters_;
  }

  void check_tower() {
    ImageEncoder encoder = open_tower(*config_);
    line(fmt::format("{}: {} rows of width {} for an image ({}, {})", config_->vision->path, encoder.rows(),
                     encoder.width(), feature_kind_name(encoder.kind()), dtype_name(encoder.type())));
    report_["vision"] = encoder.key();
    images_ = std::make_unique<ImageFeatures>(std::move(encoder), ImageFeaturesOptions{});
  }

  /// Counts the trainable parameters, by what they are.
  void check_method() {
    Method& method = *config_->method.method;
    if (config_->vision && fs::is_directory(config_->vision->path)) check_tower();
    Problems problems;
    method.check(*shape_, "method", problems);
    problems.throw_if_any(config_->source);
    method.resolve(*shape_);
    std::vector<std::pair<std::string, int64_t>> kinds;  // in the order of a layer
    int64_t gates = 0;
    for (const ParameterSpec& spec : method.parameters(*shape_)) {
      const std::string kind = name_inside_layer(spec.name);
      auto found = std::find_if(kinds.begin(), kinds.end(), [&](auto& k) { return k.first == kind; });
      if (found == kinds.end()) found = kinds.insert(kinds.end(), {kind, 0});
      found->second += spec.numel();
      trainable_ += spec.numel();
      if (kind.ends_with("_gate")) gates += spec.numel();
    }
    line(fmt::format(
        "{}: {} trainable parameters ({:.3f} % of the base){}", config_->method.type, grouped(trainable_),
        percent(trainable_, base_parameters_),
        gates > 0 ? fmt::format("; {} without the {} gates", grouped(trainable_ - gates), grouped(gates))
                  : ""));
    Json by_kind = Json::object();
    for (const auto& [kind, count] : kinds) {
      if (!config_->method.method->trains_whole_model())
        line(fmt::format("  {:<36} {:>14}", kind, grouped(count)));
      by_kind[kind] = count;
    }
    report_["trainable_parameters"] = trainable_;
    report_["trainable_parameters_without_gates"] = trainable_ - gates;
    report_["trainable_by_kind"] = std::move(by_kind);
  }

  void check_stored_weights() {
    const auto expected = weight_shapes(*shape_);
    check_weights(open_weights(config_->model.path, *shape_), expected);
    line(fmt::format("all {} tensors are there in the shapes that the model asks for", expected.size()));
  }

  void check_tokenizer() {
    tokenizer_ = load_tokenizer(config_->model.tokenizer_path());
    if (shape_) check_vocabulary(config_->model, shape_->vocab_size, *tokenizer_);
    line(fmt::format("{} tokens; BOS is {} (id {}), EOS is {} (id {})", tokenizer_->vocab_size(),
                     tokenizer_->piece(tokenizer_->bos()), tokenizer_->bos(),
                     tokenizer_->piece(tokenizer_->eos()), tokenizer_->eos()));
  }

  void check_data() {
    if (std::any_of(missing_.lines().begin(), missing_.lines().end(),
                    [](const std::string& text) { return text.starts_with("data."); }))
      return;  // said by the verdict
    LoadedDataset loaded = load_dataset(config_->data.train, config_->data, *tokenizer_);
    if (images_) check_images(loaded);
    dataset_ = std::move(loaded.dataset);
    steps_ = planned_steps(*config_, *dataset_, loaded.files);
    const DatasetReport& r = loaded.report;
    line(fmt::format("{} examples, {} tokens, of which {} are labels ({:.1f} %)", grouped(r.examples),
                     grouped(r.tokens), grouped(r.label_tokens), percent(r.label_tokens, r.tokens)));
    line(fmt::format("lengths: median {}, 95 % up to {}, longest {} of max_seq_length {}", length_at(0.5),
                     length_at(0.95), r.longest, config_->data.max_seq_length));
    line(fmt::format("last label is EOS: {:.1f} %; cut: {}; continued in a further window: {}; left out: {}",
                     percent(r.ending_in_eos, r.examples), r.truncated, r.continued,
                     r.dropped + r.empty + r.prompt_too_long + r.without_answer));
    if (r.empty + r.prompt_too_long > 0)
      line(fmt::format(
          "rows left out: {} as their text or answer is empty, {} as their prompt alone fills max_seq_length",
          r.empty, r.prompt_too_long));
    if (r.leading_answers + r.trailing_questions > 0)
      line(fmt::format(
          "messages left out: {} answers before the first question, {} questions after the last answer",
          r.leading_answers, r.trailing_questions));
    report_["data"] = r.json();
    report_["data"]["files"] = Json::array();
    for (const LoadedFile& file : loaded.files) report_file(file, loaded.files.size() > 1);
    warn(answers_without_end(loaded));
    if (shape_) warn(beyond_positions(r, config_->data, *shape_));
  }

  /// What does not stop a run; "" is nothing.
  void warn(const std::string& text) {
    if (text.empty()) return;
    line("WARNING: " + text);
    warnings_.push_back(text);
  }

  void check_tasks() {
    if (std::any_of(missing_.lines().begin(), missing_.lines().end(),
                    [](const std::string& text) { return text.starts_with("eval.tasks"); }))
      return;  // said by the verdict
    report_["tasks"] = Json::array();
    const ScoredTasks tasks =
        load_tasks(config_->eval.tasks, config_->data, *tokenizer_, shape_->max_position_embeddings);
    if (images_) prepare_evaluation_images(*images_, evaluation_images(*config_, tasks));
    for (const auto& task : tasks) {
      line(fmt::format("{} ({}): {} samples", task->name(), task->type(), grouped(task->samples())));
      report_["tasks"].push_back(
          {{"name", task->name()}, {"type", task->type()}, {"samples", task->samples()}});
    }
  }

  /// Decodes all images of the data; bad ones are a problem, or left out as data.on_bad_image says.
  void check_images(LoadedDataset& train) {
    std::vector<LoadedDataset*> all{&train};
    LoadedDataset validation;
    if (!config_->data.validation.empty()) {
      validation = load_dataset(config_->data.validation, config_->data, *tokenizer_);
      all.push_back(&validation);
    }
    prepare_images(*images_, all, *config_, *tokenizer_);
    const auto images = images_of({train.dataset.get()}).size();
    line(fmt::format("{} examples show {} images; left out for their image: {}", train.report.with_image,
                     images, train.report.bad_image));
    report_["images"] = images;
  }

  void report_file(const LoadedFile& file, bool is_one_of_many) {
    if (is_one_of_many)
      line(fmt::format("  {} ({}, weight {}): {}", file.path, file.format, file.weight, file.report.text()));
    Json json = file.report.json();
    json.update({{"path", file.path}, {"format", file.format}, {"weight", file.weight}});
    report_["data"]["files"].push_back(std::move(json));
  }

  /// The length that a share of the examples does not exceed.
  int64_t length_at(double share) const {
    std::vector<int64_t> lengths(dataset_->size());
    for (int64_t i = 0; i < dataset_->size(); ++i) lengths[i] = dataset_->tokens(i);
    const auto at = static_cast<int64_t>(share * static_cast<double>(lengths.size() - 1));
    std::nth_element(lengths.begin(), lengths.begin() + at, lengths.end());
    return lengths[at];
  }

  void show_sample() {
    if (options_.sample >= dataset_->size()) {
      throw UsageError(fmt::format("--sample {}: there are {} examples, counted from 0", options_.sample,
                                   dataset_->size()));
    }
    const Example example = dataset_->example(options_.sample);
    const bool color = isatty(STDOUT_FILENO) != 0;
    line(fmt::format("{}{}: {} tokens, labels {}", example.origin,
                     example.image.empty() ? "" : fmt::format(" with {}", example.image), example.tokens(),
                     color ? "in green" : "between » and «"));
    if (!options_.json) std::cout << render_sample(example, *tokenizer_, color) << "\n";
  }

  /// Bytes of the largest micro-batch that these examples can make, beside what is free where they are
  /// computed.
  void check_memory() {
    const DistributedSettings& distributed = config_->distributed;
    const int64_t processes = distributed.processes_to_start();
    const MemoryPlan plan = plan_run(*config_, *shape_, *dataset_, processes);
    const int64_t needed = needed_bytes(*config_, plan);
    const std::optional<int64_t> available = free_bytes(distributed);
    line(fmt::format("micro-batches of up to {} tokens: {}",
                     grouped(largest_micro_batch_tokens(*config_, *dataset_)), plan.text()));
    if (processes > 1) line(fmt::format("{} processes on this machine", processes));
    line(available ? fmt::format("{:.2f} GiB are free{}", gib(*available),
                                 distributed.on_gpu() ? " on the GPU" : "")
                   : "not compared with what is free: no GPU can be opened now");
    report_["memory"] = {{"weights", plan.weights},
                         {"trainables", plan.trainables},
                         {"activations", plan.activations},
                         {"logits", plan.logits},
                         {"total", plan.total()},
                         {"processes", processes},
                         {"needed", needed},
                         {"available", available ? Json(*available) : Json()}};
    if (!available || needed <= *available) return;
    throw ConfigError(fmt::format(
        "the plan does not fit into memory, {:.2f} GiB are needed: lower train.micro_batch_size "
        "(micro-batches "
        "are split when memory runs out), take train.gradient_checkpointing, or model.dtype bfloat16{}",
        gib(needed), processes > 1 ? ", or fewer processes (distributed.devices)" : ""));
  }

  void check_disk() {
    fs::path existing = config_->output_dir;
    while (!existing.empty() && !fs::exists(existing) && existing != existing.parent_path())
      existing = existing.parent_path();
    const auto free = static_cast<int64_t>(fs::space(existing).available);
    const DiskPlan plan = plan_disk(*config_, {.trainable = trainable_, .steps = steps_});
    line(fmt::format(
        "{} holds {:.1f} GiB free; the run takes up to {:.2f} GiB, with {} checkpoint{}{}", existing.string(),
        gib(free), gib(plan.total()), plan.checkpoints, plan.checkpoints == 1 ? "" : "s",
        plan.has_more ? fmt::format(", and {:.2f} for each one more (save_total_limit 0 keeps all)",
                                    gib(plan.checkpoint))
                      : ""));
    report_["disk"] = {{"free", free}, {"checkpoints", plan.checkpoints}, {"total", plan.total()}};
    if (free >= plan.total()) return;
    throw ConfigError(fmt::format(
        "output_dir {}: {} bytes are free, but the run takes {}: {} checkpoints of {}, the result {}, the "
        "best {}; "
        "choose another output_dir, or a lower checkpoint.save_total_limit",
        config_->output_dir, free, plan.total(), plan.checkpoints, plan.checkpoint, plan.result, plan.best));
  }

  /// What `train` would refuse of the folder; a run that was stopped there is said to go on.
  void check_output_dir() {
    const RunFolder folder(config_->output_dir);
    folder.check_writable();
    const RunState state = folder.state();
    if (state == RunState::finished)
      throw ConfigError(fmt::format("output_dir {} holds a finished run; choose another one, or remove it",
                                    config_->output_dir));
    line(fmt::format("{} {}", config_->output_dir,
                     state == RunState::none ? "holds no run yet" : "holds a run that was stopped"));
  }

  int verdict() {
    for (const std::string& text : missing_.lines()) problems_.push_back(text);
    if (!missing_.empty() && exit_code_ == 0) exit_code_ = 2;
    name_ = "verdict";
    if (problems_.empty())
      line("ready to train: excitor train " + options_.config.file);
    else
      line(fmt::format("NOT ready: {} problem{}", problems_.size(), problems_.size() == 1 ? "" : "s"));
    for (const std::string& problem : problems_) line("- " + problem);
    if (options_.json) {
      report_["ready"] = problems_.empty();
      report_["problems"] = problems_;
      report_["warnings"] = warnings_;
      std::cout << report_.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    }
    return exit_code_;
  }

  const CheckOptions& options_;
  const char* name_ = "";
  Problems missing_;
  std::vector<std::string> problems_, warnings_;
  int exit_code_ = 0;
  Json report_ = Json::object();
  std::optional<RunConfig> config_;
  std::optional<LlamaConfig> shape_;
  int64_t base_parameters_ = 0, trainable_ = 0;
  int64_t steps_ = 1;  ///< of the run, once the data are read
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ImageFeatures> images_;  ///< null without a tower
  std::unique_ptr<Dataset> dataset_;
};

}  // namespace

void add_check_command(CLI::App& app, CommandResult& result) {
  auto options = std::make_shared<CheckOptions>();
  auto* command = app.add_subcommand("check", "Proves a run before it costs hours");
  add_config_options(*command, options->config, "method.r=8");
  command->add_option("--sample", options->sample, "The example that is shown token by token, from 0")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", options->json, "One JSON object instead of the text");
  command->footer("Example: excitor check configs/tiny-world/excitor.json");
  command->callback([options, &result] { result.exit_code = Check(*options).run(); });
}

}  // namespace excitor
