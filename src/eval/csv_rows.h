// Comma-separated values as spreadsheets and pandas write them (RFC 4180).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace excitor {

struct CsvRow {
  std::vector<std::string> fields;
  int64_t line = 1;  ///< of its beginning
};

/// All rows. A field in quotes may hold commas, line ends and doubled quotes; blank lines are passed over,
/// and so is a byte order mark. Throws IoError, and DataError "file:line: …" for a quote that is never closed
/// and for text that is not UTF-8.
std::vector<CsvRow> read_csv(const std::filesystem::path& path);

}  // namespace excitor
