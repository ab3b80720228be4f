// The elements of a JSON array that need not fit into memory as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "text_stream.h"

namespace excitor {

/// Cuts an array into the texts of its elements. Inside an element only strings and brackets are looked at;
/// whether it is JSON is for its parser to say.
class JsonArray {
 public:
  struct Element {
    std::string text;      ///< with blanks in front, so that its columns are those of the file
    int64_t line = 1;      ///< of its first byte
    bool shifted = false;  ///< it stands too far right for that: its columns count from its beginning
  };

  /// `stream` stands before the opening bracket and outlives this.
  explicit JsonArray(TextStream& stream) : stream_(stream) { stream_.skip(); }

  /// The next element; nothing after the last. Throws DataError "file:line:column: …" for what does not
  /// belong between elements or behind the array, and for an array without its end.
  std::optional<Element> next();

 private:
  Element take_element();
  [[noreturn]] void fail(const std::string& reason) const;
  [[noreturn]] void fail_unexpected(const std::string& expected);

  TextStream& stream_;
  bool is_first_ = true;
};

}  // namespace excitor
