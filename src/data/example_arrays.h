// Examples laid flat: what memory and cache files hold alike.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <excitor/data/example.h>

#include "source_example.h"

namespace excitor {

/// What all examples of a file share.
struct ExampleFile {
  ExampleFile(const std::string& path, std::string image_folder, bool origins_are_lines);

  Origin origin;       ///< the number aside
  std::string images;  ///< the folder of their images
};

/// A view of N examples with T tokens together.
struct ExampleArrays {
  std::span<const int64_t> starts;        // [N+1], into ids
  std::span<const int64_t> numbers;       // [N] line or row of each
  std::span<const int32_t> labels;        // [N] number of labels
  std::span<const TokenId> ids;           // [T]
  std::span<const uint8_t> supervised;    // [T]
  std::span<const int64_t> image_starts;  // [N+1], into image_names
  std::span<const char> image_names;      // in their folder, one after the other; none: a text alone

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  int64_t tokens(int64_t index) const {
    return starts[static_cast<size_t>(index) + 1] - starts[static_cast<size_t>(index)];
  }
  /// A copy of one example.
  Example example(int64_t index, const ExampleFile& file) const;
  /// The file of its image; "": none.
  std::string image(int64_t index, const ExampleFile& file) const;
};

/// The arrays in memory, growing.
class ExampleVectors {
 public:
  /// `number` is the example's line or row; its image is a name in the file's folder.
  void append(const Example& example, int64_t number);
  void append(const ExampleArrays& later);
  ExampleArrays arrays() const {
    return {starts_, numbers_, labels_, ids_, supervised_, image_starts_, image_names_};
  }

 private:
  std::vector<int64_t> starts_{0};
  std::vector<int64_t> numbers_;
  std::vector<int32_t> labels_;
  std::vector<TokenId> ids_;
  std::vector<uint8_t> supervised_;
  std::vector<int64_t> image_starts_{0};
  std::vector<char> image_names_;
};

}  // namespace excitor
