// A text file read in order through a buffer.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace excitor {

/// The bytes of a file, one after the other, with the place that they stand in. Memory does not depend on the
/// file's size, and a file that shrinks while it is read merely ends earlier. A byte order mark (U+FEFF) at
/// the beginning is passed over.
class TextStream {
 public:
  static constexpr int kEnd = -1;
  /// A line or a row may be this long; what is longer is no text of rows.
  static constexpr size_t kLongestPart = size_t{256} << 20;

  /// Throws IoError: missing, unreadable.
  explicit TextStream(const std::filesystem::path& path);

  /// The next byte, or kEnd.
  int peek() { return begin_ < end_ || fill() ? static_cast<unsigned char>(buffer_[begin_]) : kEnd; }
  /// Passes over the next byte. Only after peek() gave one.
  void skip();
  /// Passes over blanks and line ends.
  void skip_blanks();
  /// The rest of the line without its end (LF or CR LF); false at the end of the file. Throws DataError that
  /// names the line when it is longer than kLongestPart.
  bool take_line(std::string& line);
  /// What the buffer holds of the rest.
  std::string_view buffered() const { return {buffer_.data() + begin_, end_ - begin_}; }

  int64_t line() const { return line_; }      ///< of the next byte, from 1
  int64_t column() const { return column_; }  ///< of the next byte, in characters from 1
  const std::string& name() const { return name_; }

 private:
  bool fill();

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // what of the buffer is to be read
  int64_t line_ = 1, column_ = 1;
};

}  // namespace excitor
