// Checkpoints of a run: complete and intact, or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include <excitor/util/json.h>

namespace excitor {

/// The folder `checkpoints` of a run: step-N/ each with everything to go on, and manifest.json with size and
/// SHA-256 of every file.
class CheckpointStore {
 public:
  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_of(int64_t step) const;
  /// Steps of the checkpoints that are there, intact or not, oldest first.
  std::vector<int64_t> steps() const;

  /// Writes a checkpoint: `fill` writes its files into the given folder; the manifest is added, everything is
  /// synced, and the folder renamed. Throws IoError and leaves the others as they were.
  void save(int64_t step, const std::function<void(const std::filesystem::path&)>& fill) const;

  /// The newest checkpoint whose files are those of its manifest. Damaged ones are skipped with a warning
  /// that says what is wrong with them.
  std::optional<int64_t> newest_intact() const;

  /// Removes the oldest until `limit` are left; 0: keeps all. One that can't be removed is a warning.
  void remove_old(int64_t limit) const;
  /// Removes all, once a run is finished.
  void remove_all() const;

 private:
  std::filesystem::path folder_;
};

/// What differs between a folder and its manifest.json: "optimizer.safetensors has 12 bytes, expected 3400";
/// empty when it is intact.
std::string damage_of(const std::filesystem::path& checkpoint);

}  // namespace excitor
