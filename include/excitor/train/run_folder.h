// A run's folder: what it holds already, its records, its checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <excitor/train/checkpoint_store.h>
#include <excitor/util/json.h>

namespace excitor {

/// What stands in an output_dir before a run starts.
enum class RunState { none, unfinished, finished };

/// The files of one run. Nothing is created before begin().
/// What tells one state of a run's folder from another.
struct FolderContent {
  RunState state = RunState::none;
  std::vector<int64_t> checkpoints = {};  ///< their steps

  bool operator==(const FolderContent&) const = default;
};

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path metrics_file() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path log_file() const { return path_ / "log.txt"; }
  std::filesystem::path adapter_folder() const { return path_ / "adapter"; }
  std::filesystem::path model_folder() const { return path_ / "model"; }
  std::filesystem::path best_folder() const { return path_ / "best"; }
  CheckpointStore checkpoints() const { return CheckpointStore(path_ / "checkpoints"); }

  /// none: absent or without files of a run; finished: metrics.jsonl has an "end".
  RunState state() const;
  FolderContent content() const { return {.state = state(), .checkpoints = checkpoints().steps()}; }
  /// config.json of the run that lies here.
  Json recorded_config() const;

  /// Throws IoError when the folder can't be made or written to; nothing is left behind.
  void check_writable() const;
  /// Creates the folder, removes what a killed run left half-written, and writes config.json.
  void begin(const Json& config) const;
  /// Cuts metrics.jsonl back to the first `steps` steps, so that each step stands in it once.
  void cut_metrics(int64_t steps) const;

 private:
  std::filesystem::path path_;
};

/// Dotted keys whose values differ, but for those that may change between a run and its continuation
/// (output_dir, checkpoint, logging, eval, distributed).
std::vector<std::string> differing_keys(const Json& recorded, const Json& now);

}  // namespace excitor
