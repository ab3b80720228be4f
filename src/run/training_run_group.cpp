// What the processes of a run settle between them: threads, that they do the same, the start's values.
#include <algorithm>
#include <cstdlib>
#include <span>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/training_run.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/version.h>

namespace excitor {
namespace {

/// What lies in a dataset: its size, the lengths of all examples, the tokens of a thousand of them.
std::string digest(const Dataset* dataset) {
  if (dataset == nullptr || dataset->size() == 0) return "none";
  constexpr int64_t kExamples = 1000;
  const int64_t stride = std::max<int64_t>(1, dataset->size() / kExamples);
  Sha256 hash;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const int64_t lengths[] = {dataset->tokens(i), dataset->labels(i)};
    hash.update(std::as_bytes(std::span(lengths)));
    if (i % stride != 0) continue;
    const Example example = dataset->example(i);
    hash.update(std::as_bytes(std::span(example.ids)));
  }
  return fmt::format("{} examples with digest {:.16}", dataset->size(), hash.hex_digest());
}

/// How many samples a benchmark has, and which of them show an image.
std::string digest(const ScoredTask& task) {
  std::string shown;
  for (const auto& image : task.images()) shown += image.empty() ? '-' : 'i';
  return fmt::format("{} samples, images {:.16}", task.samples(), sha256_hex(shown));
}

/// Appends the settings one by one: "train.seed" and its value.
void add_settings(const Json& settings, const std::string& path, Facts& facts) {
  for (const auto& [key, value] : settings.items()) {
    const std::string name = path.empty() ? key : path + "." + key;
    if (value.is_object())
      add_settings(value, name, facts);
    else
      facts.emplace_back(name, value.dump());
  }
}

/// The settings without what may differ between machines: places of files, and the devices.
Json comparable(Json settings) {
  settings.erase("output_dir");
  settings["model"].erase("path");
  settings["model"].erase("tokenizer");
  settings["method"].erase("adapter_path");
  if (settings.contains("vision")) settings["vision"].erase("path");
  settings["data"].erase("cache_dir");
  settings["distributed"].erase("devices");
  if (settings["eval"].contains("forgetting")) settings["eval"]["forgetting"].erase("path");
  for (Json& task : settings["eval"]["tasks"]) {
    for (const char* path : {"path", "captions", "images"}) task.erase(path);
  }
  settings["eval"].erase("sample_images");
  for (const char* files : {"train", "validation"}) {
    if (!settings["data"].contains(files)) continue;
    for (Json& file : settings["data"][files]) {
      file.erase("path");
      file.erase("images");
    }
  }
  return settings;
}

}  // namespace

void TrainingRun::share_cores() const {
  if (group_.size() == 1) return;
  if (!is_first()) log::set_terminal_level(log::Level::error);  // one process speaks for all
  if (std::getenv("OMP_NUM_THREADS") == nullptr)
    at::set_num_threads(static_cast<int>(threads_of(group_.place(), count_cores())));
}

BaseShare TrainingRun::base_share() const {
  if (!config_.distributed.shard_base) return {};
  return {.rank = group_.rank(), .processes = group_.size(), .communicator = [this]() -> Communicator& {
            return *communicator_;
          }};
}

void TrainingRun::join() {
  group_.agree(facts());
  communicator_ = group_.connect(device_);
}

Facts TrainingRun::facts() const {
  Facts facts{{"the version", kVersion}};
  add_settings(comparable(resolved_), "", facts);
  facts.emplace_back("the kind of device", device_.device.is_cpu() ? "cpu" : "cuda");
  facts.emplace_back("the base", inputs_.base->fingerprint);
  facts.emplace_back("the tokenizer", inputs_.tokenizer->sha256());
  if (inputs_.images) facts.emplace_back("the vision tower", inputs_.images->encoder().tower_fingerprint());
  facts.emplace_back("the training data", digest(inputs_.train_data.get()));
  facts.emplace_back("the validation data", digest(inputs_.validation_data.get()));
  facts.emplace_back("the text for forgetting", digest(inputs_.held_out_data.get()));
  for (const auto& task : *inputs_.tasks) facts.emplace_back("the benchmark " + task->name(), digest(*task));
  facts.emplace_back("the number of sample images", std::to_string(config_.eval.sample_images.size()));
  return facts;
}

void TrainingRun::broadcast_parameters() const {
  for (const auto& entry : parameters_.entries()) communicator_->broadcast(entry.tensor.detach(), 0);
}

void TrainingRun::check_same_steps(int64_t step) const {
  const Json state = read_json_file(folder_.checkpoints().folder_of(step) / "state.json");
  const int64_t now = config_.train.examples_per_step(group_.size());
  const int64_t before = state.value("examples_per_step", now);
  if (before == now) return;
  throw ConfigError(fmt::format(
      "output_dir {} holds a run whose steps have {} examples each, and with {} process{} they would have "
      "{}; set "
      "train.global_batch_size={} to go on with it",
      folder_.path().string(), before, group_.size(), group_.size() == 1 ? "" : "es", now, before));
}

void TrainingRun::log_group(const Trainer& trainer) const {
  if (group_.size() == 1) return;
  log::info(fmt::format("{} processes with {} threads each: {}", group_.size(), at::get_num_threads(),
                        fmt::join(group_.members(), ", ")));
  log::info(
      fmt::format("each step adds up {} bytes in one all-reduce: {} of trainable parameters, {} of sums",
                  trainer.reduced_bytes(), parameters_.numel() * int64_t{sizeof(float)},
                  trainer.reduced_bytes() - parameters_.numel() * int64_t{sizeof(float)}));
}

}  // namespace excitor
