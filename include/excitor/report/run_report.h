// report.html: one run on one self-contained page.
#pragma once

#include <filesystem>
#include <string>

namespace excitor {

/// The page of the run in `run_folder`, from its config.json and metrics.jsonl. Throws IoError, ConfigError
/// or DataError.
std::string run_report(const std::filesystem::path& run_folder);

/// Writes it to `file`, whole or not at all; throws as run_report does.
void write_run_report(const std::filesystem::path& run_folder, const std::filesystem::path& file);

}  // namespace excitor
