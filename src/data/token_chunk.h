// A file of tokenised examples, laid out so that it can be used as it is mapped into memory.
#pragma once

#include <filesystem>

#include <excitor/util/files.h>

#include "example_arrays.h"

namespace excitor {

/// Writes examples as one file, complete or not at all. Little endian: a header of four numbers of 64 bits
/// (magic, examples N, tokens T, bytes of image names), then the arrays of ExampleArrays in the order starts,
/// numbers, image_starts, labels, ids, supervised, image_names. Throws IoError.
void write_chunk(const std::filesystem::path& path, const ExampleArrays& examples);

/// A chunk mapped into memory.
class MappedChunk {
 public:
  /// Throws IoError when it can't be opened, DataError when it is no chunk or its size is not what its header
  /// says.
  explicit MappedChunk(const std::filesystem::path& path);
  const ExampleArrays& arrays() const { return arrays_; }

 private:
  MappedFile file_;
  ExampleArrays arrays_;  // into file_
};

}  // namespace excitor
