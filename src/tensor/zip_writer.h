// Writes zip archives of stored entries, each aligned as torch.save aligns its records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <excitor/util/files.h>

namespace excitor {

/// An archive that appears complete or not at all. Sizes and offsets beyond 32 bits use zip64.
class ZipWriter {
 public:
  static constexpr uint64_t kAlignment = 64;

  explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}

  /// Appends an entry whose data begin at a multiple of kAlignment. Throws IoError.
  void add(const std::string& name, std::span<const std::byte> data);
  /// Writes the directory and gives the file its name. Throws IoError.
  void commit();

 private:
  struct Entry {
    std::string name;
    uint64_t header = 0;
    uint64_t bytes = 0;
    uint32_t crc = 0;
  };

  void write(const std::string& bytes);

  AtomicFile file_;
  uint64_t written_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace excitor
