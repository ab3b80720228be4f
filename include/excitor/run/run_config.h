// The whole configuration of a training run: contract of the JSON file, and of config.json in a run's folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/data/sampler.h>
#include <excitor/methods/method.h>
#include <excitor/model/llama_config.h>
#include <excitor/run/vision_settings.h>
#include <excitor/train/train_settings.h>
#include <excitor/util/describe.h>

namespace excitor {

/// `model`: where the frozen weights come from.
struct ModelSettings {
  std::string path;                 ///< Hugging Face folder; empty with init
  std::string dtype = "auto";       ///< type of the frozen weights
  std::optional<LlamaConfig> init;  ///< random weights of this shape instead
  std::string tokenizer;            ///< a tokenizer file or folder; default: the model's folder
  void describe(Describer& d);
  /// `init`, or what the folder says. Throws as read_llama_config().
  LlamaConfig shape() const;
  /// `tokenizer`, or the model's folder.
  const std::string& tokenizer_path() const;
};

/// `method`: its type, a start from an adapter's weights, and the method's own settings.
struct MethodSettings {
  std::string type = "excitor";
  std::string adapter_path;         ///< start from this adapter's weights
  std::string save_dtype = "auto";  ///< method full: type of the written weights
  std::shared_ptr<Method> method;
  void describe(Describer& d);
};

/// `distributed`
struct DistributedSettings {
  std::string device = "auto";
  Json devices = "auto";
  double timeout_seconds = 600;    ///< that processes wait for each other
  bool shard_base = false;         ///< each process holds a part of the frozen weights
  double gpu_memory_fraction = 1;  ///< of a GPU's memory, that its process may take
  void describe(Describer& d);
  /// The processes that `devices` asks for on this machine; nothing for "auto".
  std::optional<int64_t> processes() const;
  /// The same, where "auto" is one a GPU, one on a CPU.
  int64_t processes_to_start() const;
  /// Whether GPUs compute: "cuda", or "auto" where one can be used.
  bool on_gpu() const;
  /// The GPU of process `local_rank` of those on this machine.
  int64_t gpu_of(int64_t local_rank) const;
  /// Adds what can't be: devices that are not there, values of no meaning.
  void check(Problems& problems) const;
};

struct RunConfig {
  ModelSettings model;
  MethodSettings method;
  std::optional<VisionSettings> vision;  ///< absent: no images
  DataSettings data;
  TrainSettings train;
  EvalSettings eval;
  CheckpointSettings checkpoint;
  LoggingSettings logging;
  DistributedSettings distributed;
  std::string output_dir;
  std::string source;  ///< the file it was read from, for messages
  void describe(Describer& d);
};

/// Reads `file`, applies `overrides` ("a.b=value"), makes relative paths absolute (relative to the file) and
/// checks everything that needs no weights. Throws ConfigError with all problems at once.
RunConfig read_run_config(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// The same for `excitor check`: models and data that are not there are added to `missing` and are no error,
/// so that everything else can be looked at.
RunConfig read_run_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                          Problems& missing);

/// The JSON of `file` with `overrides` applied, its section `sweep` included. Throws ConfigError.
Json read_config_json(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// Reads `json`, without a section `sweep`, as if it stood in `file`. What is wrong is added to `problems`;
/// files that are not there are added to `missing`. Throws ConfigError for an adapter that can't be read.
RunConfig read_run_config(Json json, const std::filesystem::path& file, Problems& problems,
                          Problems& missing);

/// How a step's examples are laid into micro-batches.
MicroBatchLimits micro_batch_limits(const RunConfig& config);

/// Every setting with its default written out.
Json write_run_config(RunConfig& config);

/// JSON Schema of the configuration but for its section sweep, the settings of all methods included.
Json run_config_schema();
/// The same as a Markdown page.
std::string run_config_reference();

}  // namespace excitor
