#include <excitor/report/run_report.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/html_page.h>
#include <excitor/report/run_history.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "page_files.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

void check_is_run(const fs::path& folder) {
  for (const char* name : {"config.json", "metrics.jsonl"}) {
    if (fs::exists(folder / name)) continue;
    throw IoError(fmt::format("{} has no {}; expected the output_dir of a run, as excitor train leaves it",
                              folder.string(), name));
  }
}

/// "runs/alpaca/" -> "alpaca"
std::string name_of(const fs::path& folder) {
  const fs::path whole = fs::weakly_canonical(folder);
  return whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
}

}  // namespace

std::string run_report(const fs::path& run_folder) {
  check_is_run(run_folder);
  Json data = read_run_history(run_folder / "metrics.jsonl").json();
  data["name"] = name_of(run_folder);
  data["config"] = read_json_file(run_folder / "config.json");
  return html_page(fmt::format("{} · excitor", data["name"].get<std::string>()), page_files::run_report,
                   data);
}

void write_run_report(const fs::path& run_folder, const fs::path& file) {
  write_file_atomically(file, run_report(run_folder));
}

}  // namespace excitor
