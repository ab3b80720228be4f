// What a training run loads: tokenizer, data and base, or those of the run before it in a sweep.
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "run_images.h"
#include "session.h"
#include "training_run.h"

namespace excitor {
namespace {

void log_data(const std::string& what, const LoadedDataset& loaded) {
  log::info(what + ": " + loaded.report.text());
  for (const LoadedFile& file : loaded.files) {
    if (loaded.files.size() > 1)
      log::info(
          fmt::format("  {} ({}, weight {}): {}", file.path, file.format, file.weight, file.report.text()));
    if (!file.cache_folder.empty())
      log::info(fmt::format("  tokens of {} are mapped from {}", file.path, file.cache_folder));
  }
}

}  // namespace

void TrainingRun::choose_device() {
  // cuBLAS asks for this before its first use, to give the same bits each time.
  if (asks_for_gpu() && is_deterministic()) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (asks_for_gpu())
    device_ = open_gpu(config_.distributed.gpu_of(group_.place().local_rank));
  else
    device_ = open_device(config_.distributed.device);
  if (device_.cuda) device_.cuda->limit_memory(device_.gpu(), config_.distributed.gpu_memory_fraction);
}

void TrainingRun::load_data() {
  SharedInputs own;
  SharedInputs& inputs = shared_ ? *shared_ : own;
  const std::string key = data_key(resolved_) + (tower_ ? tower_->key().dump() : "");
  if (inputs.data_key != key) {
    inputs.drop_data();
    read_data(inputs);
    inputs.data_key = key;
  }
  tokenizer_ = inputs.tokenizer;
  train_data_ = inputs.train_data;
  validation_data_ = inputs.validation_data;
  held_out_data_ = inputs.held_out_data;
  train_weights_ = inputs.train_weights;
  images_ = inputs.images;
  tasks_ = inputs.tasks;
  if (const std::string figures = base_figures_key(resolved_); inputs.base_figures->key != figures)
    inputs.base_figures = std::make_shared<BaseFigures>(BaseFigures{.key = figures});
  base_figures_ = inputs.base_figures;
}

void TrainingRun::read_data(SharedInputs& inputs) {
  const std::string& place = config_.model.tokenizer.empty() ? config_.model.path : config_.model.tokenizer;
  inputs.tokenizer = load_tokenizer(place);
  const Tokenizer& tokenizer = *inputs.tokenizer;
  LoadedDataset train = load_dataset(config_.data.train, config_.data, tokenizer), validation;
  std::vector<LoadedDataset*> all{&train};
  if (!config_.data.validation.empty()) {
    validation = load_dataset(config_.data.validation, config_.data, tokenizer);
    all.push_back(&validation);
  }
  const LlamaConfig shape = config_.model.shape();
  inputs.tasks = std::make_shared<ScoredTasks>(
      load_tasks(config_.eval.tasks, config_.data, tokenizer, shape.max_position_embeddings));
  if (tower_) read_images(inputs, all);
  log_data("training data", train);
  std::tie(inputs.train_data, inputs.validation_data) =
      split_dataset(std::move(train.dataset), config_.data.val_size);
  inputs.train_weights = weighted_ranges(train.files, inputs.train_data->size());
  if (validation.dataset) {
    log_data("validation data", validation);
    inputs.validation_data = std::move(validation.dataset);
  }
  if (config_.eval.forgetting) {
    const DataFileSettings file{.path = config_.eval.forgetting->path, .format = "text"};
    inputs.held_out_data = load_dataset({file}, config_.data, tokenizer).dataset;
  }
}

void TrainingRun::read_images(SharedInputs& inputs, const std::vector<LoadedDataset*>& data) {
  inputs.images = make_image_features(*std::move(tower_), config_);
  const bool others_wait = inputs.images->cache_folder() && group_.size() > 1;
  const auto prepare = [&] {
    prepare_images(*inputs.images, data, config_, *inputs.tokenizer);
    prepare_evaluation_images(*inputs.images, evaluation_images(config_, *inputs.tasks));
  };
  if (!others_wait) return prepare();
  group_.from_first("images", [&] {
    prepare();
    return std::string();
  });
  if (is_first()) return;
  inputs.images->reopen_cache();
  prepare();
}

std::shared_ptr<LoadedModel> TrainingRun::read_base() const {
  const at::ScalarType type = resolve_dtype(config_.model.dtype, device_.device, config_.model.path);
  const auto seed = static_cast<uint64_t>(config_.train.seed);
  return std::make_shared<LoadedModel>(
      config_.model.init ? random_llama(*config_.model.init, seed, type, device_.device)
                         : load_sharded_model(config_.model.path, type, base_share(), device_.device));
}

void TrainingRun::load_base() {
  if (const std::string key = base_key(resolved_); !shared_) {
    base_ = read_base();
  } else {
    if (shared_->base_key != key) {
      shared_->drop_base();
      shared_->base = read_base();
      shared_->base_key = key;
    }
    base_ = shared_->base;
  }
  const at::ScalarType type = resolve_dtype(config_.model.dtype, device_.device, config_.model.path);
  base_->model.set_activation_type(activation_type(config_.train.precision, type));
  const int64_t rows = base_->model.config().vocab_size;
  if (tokenizer_->vocab_size() > rows) {
    throw CheckpointError(fmt::format(
        "the tokenizer has {} tokens, but the embedding of {} has {} rows; they do not belong together",
        tokenizer_->vocab_size(), config_.model.path, rows));
  }
}

std::optional<VisionOrigin> TrainingRun::vision_origin() const {
  if (!images_) return first_vision_;
  const VisionOrigin now =
      record_of(images_->encoder(), config_.vision->path, config_.data.caption_instruction);
  if (first_vision_ && !first_vision_->fingerprint.empty() && first_vision_->fingerprint != now.fingerprint) {
    throw ConfigError(fmt::format(
        "vision.path {}: is another vision tower than that of the adapter in {} (recorded {:.12}…, this one "
        "{:.12}…); give the tower that it was trained with",
        now.path, config_.method.adapter_path, first_vision_->fingerprint, now.fingerprint));
  }
  return now;
}

void TrainingRun::check_groups() const {
  BatchContent content;
  for (int64_t i = 0; i < train_data_->size() && !(content.texts && content.images); ++i)
    (train_data_->image(i).empty() ? content.texts : content.images) = true;
  int64_t idle = 0, by_texts = 0, by_images = 0;
  for (const auto& entry : parameters_.entries()) {
    const TrainedBy group = config_.method.method->trained_by(entry.name);
    by_texts += group == TrainedBy::images ? 0 : 1;
    by_images += group == TrainedBy::texts ? 0 : 1;
    idle += content.trains(group) ? 0 : entry.tensor.numel();
  }
  if ((content.texts && by_texts == 0) || (content.images && by_images == 0)) {
    throw ConfigError(
        fmt::format("the data hold {0}, but {0} train nothing with these settings of method {1}",
                    by_texts == 0 ? "texts" : "images", config_.method.type));
  }
  if (idle == 0) return;
  log::info(fmt::format("the data hold {} alone: {} parameters that only {} train stay as they are",
                        content.images ? "images" : "texts", idle, content.images ? "texts" : "images"));
}

}  // namespace excitor
