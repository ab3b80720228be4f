// Which format a row or a file is of, as told from the row's keys.
#pragma once

#include <filesystem>
#include <string>

#include <excitor/util/json.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// "alpaca", "sharegpt", "llava", "openai", "caption" or "text", as the keys of a row say; "" when they say
/// nothing.
std::string format_of_row(const Json& row);

/// The format of a file that is read with format "auto": text for .txt; for .json and .jsonl what the first
/// row says (alpaca when it is no object, so that its reader names what is wrong). Throws ConfigError when
/// neither name nor row tells it, IoError and DataError as reading rows does.
std::string detect_format(const std::filesystem::path& path);

/// True when the keys say plainly that the row is of another format than `format`; an error that names both
/// is added.
bool is_of_other_format(const Json& row, const std::string& format, const Origin& origin, RowErrors& errors);

}  // namespace excitor
