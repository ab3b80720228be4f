// report.html of a sweep: all its runs on one self-contained page.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/report/sweep_results.h>

namespace excitor {

/// The page of the sweep in `folder` with rows of ranked(): methods beside each other, ranking, settings
/// against the result (a chart each, and parallel coordinates of all), learning curves of the first ranks
/// laid over each other, cost, forgetting against gain. Curves come from the runs' metrics.jsonl. Throws
/// IoError or DataError.
std::string sweep_report(const std::filesystem::path& folder, const std::vector<SweepRow>& ranked_rows,
                         const Ranking& ranking);

}  // namespace excitor
