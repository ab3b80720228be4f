// What a run writes down as it goes: metrics.jsonl, and the same numbers for TensorBoard.
#pragma once

#include <optional>
#include <string_view>

#include <excitor/train/run_folder.h>
#include <excitor/train/tensorboard.h>
#include <excitor/train/trainer.h>
#include <excitor/util/files.h>
#include <excitor/util/json.h>

namespace excitor {

class RunRecord {
 public:
  /// Appends to the files of `folder`. Throws IoError.
  RunRecord(const RunFolder& folder, bool tensorboard);

  /// One line of metrics.jsonl. Numbers of an event with a "step" go to TensorBoard too, as "group/key";
  /// those of nested objects as "group/key/name", those of objects in a list by their "name".
  void event(const Json& event, std::string_view group);
  /// The line of an optimiser step, and the most memory so far of this process, or of its GPU.
  void step(const StepMetrics& metrics, int64_t peak_memory_bytes);

 private:
  void scalars(const Json& object, int64_t step, const std::string& tag);

  AppendFile metrics_;
  std::optional<TensorBoardFile> tensorboard_;
};

}  // namespace excitor
