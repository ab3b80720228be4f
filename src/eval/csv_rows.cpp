#include "csv_rows.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/utf8.h>

namespace excitor {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Walks over the text of a file, counting lines.
class CsvText {
 public:
  CsvText(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  /// False at the end of the file.
  bool take_row(CsvRow& row) {
    while (at_line_end()) skip_line_end();
    if (at_ == text_.size()) return false;
    row = {.fields = {}, .line = line_};
    do {
      row.fields.push_back(take_field());
    } while (skip(','));
    skip_line_end();
    return true;
  }

 private:
  bool at_line_end() const { return at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r'); }
  bool skip(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_line_end() {
    if (!at_line_end()) return;
    skip('\r');
    skip('\n');
    ++line_;
  }

  /// Quotes begin at a field's beginning only; what follows the closing quote belongs to the field.
  std::string take_field() {
    std::string field;
    if (skip('"')) take_quoted(field);
    const size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    field += text_.substr(at_, end - at_);
    at_ = end;
    return field;
  }

  void take_quoted(std::string& field) {
    const int64_t first_line = line_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"' && !skip('"')) return;
      line_ += c == '\n' ? 1 : 0;
      field += c;
    }
    throw DataError(
        fmt::format("{}:{}: a quote that opens here is never closed; double the quotes inside a field", name_,
                    first_line));
  }

  std::string_view text_;
  std::string name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> read_csv(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  if (const size_t bad = find_invalid_utf8(content); bad != std::string::npos) {
    const auto line = 1 + std::count(content.begin(), content.begin() + static_cast<int64_t>(bad), '\n');
    throw DataError(fmt::format("{}:{}: byte 0x{:02X} is not UTF-8; save the file as UTF-8", path.string(),
                                line, static_cast<unsigned char>(content[bad])));
  }
  CsvText text(content, path.string());
  std::vector<CsvRow> rows;
  for (CsvRow row; text.take_row(row);) rows.push_back(std::move(row));
  return rows;
}

}  // namespace excitor
