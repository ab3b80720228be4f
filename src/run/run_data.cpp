#include <excitor/run/run_data.h>

#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/run_images.h>
#include <excitor/train/batch.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

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

/// Looks at the images of the data and of the evaluations.
void read_images(const RunConfig& config, Group& group, ImageEncoder tower,
                 const std::vector<LoadedDataset*>& data, SharedInputs& inputs) {
  inputs.images = make_image_features(std::move(tower), config);
  const bool others_wait = inputs.images->cache_folder() && group.size() > 1;
  const auto prepare = [&] {
    prepare_images(*inputs.images, data, config, *inputs.tokenizer);
    prepare_evaluation_images(*inputs.images, evaluation_images(config, *inputs.tasks));
  };
  if (!others_wait) return prepare();
  group.from_first("images", [&] {
    prepare();
    return std::string();
  });
  if (group.is_first()) return;
  inputs.images->reopen_cache();
  prepare();
}

}  // namespace

void read_run_data(const RunConfig& config, Group& group, std::optional<ImageEncoder> tower,
                   SharedInputs& inputs) {
  inputs.tokenizer = load_tokenizer(config.model.tokenizer_path());
  const Tokenizer& tokenizer = *inputs.tokenizer;
  inputs.data_sha256 = hash_run_data(config.data);
  const LlamaConfig shape = config.model.shape();
  check_vocabulary(config.model, shape.vocab_size, tokenizer);
  LoadedDataset train = load_dataset(config.data.train, config.data, tokenizer), validation;
  std::vector<LoadedDataset*> all{&train};
  if (!config.data.validation.empty()) {
    validation = load_dataset(config.data.validation, config.data, tokenizer);
    all.push_back(&validation);
  }
  for (const LoadedDataset* loaded : all) {
    const std::string warning = beyond_positions(loaded->report, config.data, shape);
    if (!warning.empty()) log::warning(warning);
  }
  inputs.tasks = std::make_shared<ScoredTasks>(
      load_tasks(config.eval.tasks, config.data, tokenizer, shape.max_position_embeddings));
  if (tower) read_images(config, group, *std::move(tower), all, inputs);
  log_data("training data", train);
  std::tie(inputs.train_data, inputs.validation_data) =
      split_dataset(std::move(train.dataset), config.data.val_size);
  inputs.train_weights = weighted_ranges(train.files, inputs.train_data->size());
  if (validation.dataset) {
    log_data("validation data", validation);
    inputs.validation_data = std::move(validation.dataset);
  }
  if (config.eval.forgetting) {
    const DataFileSettings file{.path = config.eval.forgetting->path, .format = "text"};
    inputs.held_out_data = load_dataset({file}, config.data, tokenizer).dataset;
  }
}

std::string hash_run_data(const DataSettings& data) {
  std::vector<DataFileSettings> files = data.train;
  files.insert(files.end(), data.validation.begin(), data.validation.end());
  return hash_contents(files, data.cache_dir);
}

void check_vocabulary(const ModelSettings& model, int64_t rows, const Tokenizer& tokenizer) {
  if (model.init && tokenizer.vocab_size() > rows)
    throw ConfigError(fmt::format(
        "model.init.vocab_size: found {}, but the tokenizer {} has {} tokens; expected at least that many",
        rows, model.tokenizer, tokenizer.vocab_size()));
  tokenizer.require_rows(rows, model.path);
}

std::string beyond_positions(const DatasetReport& report, const DataSettings& data,
                             const LlamaConfig& shape) {
  if (report.longest <= shape.max_position_embeddings) return "";
  return fmt::format(
      "examples have up to {} tokens (data.max_seq_length {}), but max_position_embeddings is {}: beyond it "
      "lie "
      "positions that the model has never seen",
      report.longest, data.max_seq_length, shape.max_position_embeddings);
}

std::string answers_without_end(const LoadedDataset& loaded) {
  int64_t examples = 0, ending = 0;
  for (const LoadedFile& file : loaded.files) {
    if (file.format == "text") continue;  // windows of a long document end anywhere
    examples += file.report.examples;
    ending += file.report.ending_in_eos;
  }
  if (2 * ending >= examples) return "";
  return fmt::format(
      "{} of {} conversations end with EOS, or the template's control token for it, as their last label: the "
      "model learns to stop from these alone; see answer_end of the prompt template, and data.max_seq_length "
      "(cut: {})",
      ending, examples, loaded.report.truncated);
}

void check_what_data_train(const RunConfig& config, const Dataset& data, const ParameterSet& parameters) {
  BatchContent content;
  for (int64_t i = 0; i < data.size() && !(content.texts && content.images); ++i)
    (data.image(i).empty() ? content.texts : content.images) = true;
  int64_t idle = 0, by_texts = 0, by_images = 0;
  for (const auto& entry : parameters.entries()) {
    const TrainedBy group = config.method.method->trained_by(entry.name);
    by_texts += group == TrainedBy::images ? 0 : 1;
    by_images += group == TrainedBy::texts ? 0 : 1;
    idle += content.trains(group) ? 0 : entry.tensor.numel();
  }
  if ((content.texts && by_texts == 0) || (content.images && by_images == 0)) {
    throw ConfigError(
        fmt::format("the data hold {0}, but {0} train nothing with these settings of method {1}",
                    by_texts == 0 ? "texts" : "images", config.method.type));
  }
  if (idle == 0) return;
  log::info(fmt::format("the data hold {} alone: {} parameters that only {} train stay as they are",
                        content.images ? "images" : "texts", idle, content.images ? "texts" : "images"));
}

}  // namespace excitor
