// excitor prepare: tokenises the data of a configuration into the cache and encodes its images, so that runs
// start at once.
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/data/dataset.h>
#include <excitor/device/device.h>
#include <excitor/run/run_config.h>
#include <excitor/run/run_images.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/signals.h>

#include "commands.h"
#include "config_options.h"

namespace excitor {
namespace {

struct PrepareOptions {
  ConfigOptions config;
  bool json = false;
};

/// The lists of files that a run reads, by what it does with them.
std::vector<std::pair<std::string, std::vector<DataFileSettings>>> file_lists(const RunConfig& config) {
  std::vector<std::pair<std::string, std::vector<DataFileSettings>>> lists{{"train", config.data.train}};
  if (!config.data.validation.empty()) lists.emplace_back("validation", config.data.validation);
  if (config.eval.forgetting)
    lists.push_back({"forgetting", {{.path = config.eval.forgetting->path, .format = "text"}}});
  return lists;
}

void print_file(const std::string& use, const LoadedFile& file) {
  std::cout << fmt::format("{} {} ({}): {}\n  {} {}\n", use, file.path, file.format, file.report.text(),
                           file.was_cached ? "is there already:" : "now lies in", file.cache_folder)
            << std::flush;
}

Json file_json(const std::string& use, const LoadedFile& file) {
  Json json = {{"use", use},
               {"path", file.path},
               {"format", file.format},
               {"weight", file.weight},
               {"cache_folder", file.cache_folder},
               {"was_cached", file.was_cached}};
  json.update(file.report.json());
  return json;
}

/// Encodes the images of the data and of evaluations, where the configuration has a tower and a cache for it.
Json encode_images(const RunConfig& config, std::vector<LoadedDataset>& loaded, const Tokenizer& tokenizer) {
  ImageEncoder tower = open_tower(config);
  tower.move_to(open_device(config.distributed.device).device);  // where the run's tower will compute
  const auto features = make_image_features(std::move(tower), config);
  if (!features->cache_folder()) {
    throw ConfigError(
        "the features of images are not cached (vision.cache is false, or vision.random_resized_crop is "
        "given), "
        "so there is nothing to prepare of them; leave out the section vision to prepare the texts alone");
  }
  std::vector<LoadedDataset*> all;
  for (LoadedDataset& data : loaded) all.push_back(&data);
  prepare_images(*features, all, config, tokenizer);
  const ScoredTasks tasks =
      load_tasks(config.eval.tasks, config.data, tokenizer, config.model.shape().max_position_embeddings);
  const std::vector<std::filesystem::path> shown = evaluation_images(config, tasks);
  prepare_evaluation_images(*features, shown);
  std::vector<const Dataset*> datasets;
  for (const LoadedDataset& data : loaded) datasets.push_back(data.dataset.get());
  std::vector<std::filesystem::path> files = images_of(datasets);
  files.insert(files.end(), shown.begin(), shown.end());
  const std::set<std::filesystem::path> images(files.begin(), files.end());
  return {{"count", images.size()}, {"cache_folder", features->cache_folder()->string()}};
}

void prepare(const PrepareOptions& options) {
  const StopSignals signals;
  const RunConfig config = read_run_config(options.config.file, options.config.overrides);
  if (config.data.cache_dir == "none")
    throw ConfigError(
        "data.cache_dir is \"none\", so there is no place to prepare the data into; give a "
        "folder, or leave the key out");
  const auto tokenizer = load_tokenizer(config.model.tokenizer_path());
  Json result = {{"files", Json::array()}};
  std::vector<LoadedDataset> loaded;
  for (const auto& [use, list] : file_lists(config)) {
    loaded.push_back(load_dataset(list, config.data, *tokenizer, CacheUse::always));
    for (const LoadedFile& file : loaded.back().files) {
      if (!options.json) print_file(use, file);
      result["files"].push_back(file_json(use, file));
    }
  }
  if (config.vision) result["images"] = encode_images(config, loaded, *tokenizer);
  if (options.json)
    std::cout << result.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  else if (config.vision)
    std::cout << fmt::format("{} images, their features in {}\n", result["images"]["count"].get<int64_t>(),
                             result["images"]["cache_folder"].get<std::string>());
}

}  // namespace

void add_prepare_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<PrepareOptions>();
  auto* command = app.add_subcommand(
      "prepare", "Tokenises the data of a configuration into the cache, and encodes its images");
  add_config_options(*command, options->config, "data.max_seq_length=1024");
  command->add_flag("--json", options->json, "One JSON object instead of the text");
  command->footer(
      "Interrupted, the same command goes on where it stopped.\n"
      "Example: excitor prepare configs/tiny-world/excitor.json data.cache_dir=/tmp/tokens");
  command->callback([options] { prepare(*options); });
}

}  // namespace excitor
