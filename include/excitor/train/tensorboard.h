// Scalars for TensorBoard: events.out.tfevents.* files (TFRecord framing of tensorflow.Event messages).
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace excitor {

/// One record of such a file: length, masked CRC-32C of it, data, masked CRC-32C of the data.
std::string tensorboard_record(std::string_view data);
/// The Event that every file begins with, and one that holds a scalar. `wall_time` in seconds since 1970.
std::string tensorboard_version_event(double wall_time);
std::string tensorboard_scalar_event(double wall_time, int64_t step, std::string_view tag, float value);

/// A new event file in a run's folder; each scalar is written at once.
class TensorBoardFile {
 public:
  /// Throws IoError.
  explicit TensorBoardFile(const std::filesystem::path& folder);
  void scalar(std::string_view tag, int64_t step, double value);

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace excitor
