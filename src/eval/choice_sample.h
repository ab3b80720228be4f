// Questions with given answers, as their files have them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace excitor {

struct ChoiceSample {
  std::string place;                                                ///< "test/anatomy_test.csv:17"
  std::string subject = {};                                         ///< of the tasks that have some
  std::string header = {};                                          ///< in front of the shots
  std::shared_ptr<const std::vector<std::string>> shots = nullptr;  ///< left out from the end when too long
  std::string context;
  std::vector<std::string> choices;  ///< a space stands in front of each when it is scored
  int64_t answer = 0;                ///< index of the right one
};

/// A folder of the original's layout: test/SUBJECT_test.csv and dev/SUBJECT_dev.csv, without a header line.
/// The prompt is the original's, with its two spaces (hendrycks/test, evaluate.py). Throws ConfigError for
/// missing folders and files, DataError that names file and line: rows without six columns, an answer that
/// is not A to D, no questions.
std::vector<ChoiceSample> read_mmlu(const std::filesystem::path& folder, int64_t shots,
                                    std::optional<int64_t> limit);

/// The original's JSONL, cleaned as lm-evaluation-harness does. Throws as read_mmlu.
std::vector<ChoiceSample> read_hellaswag(const std::filesystem::path& file, std::optional<int64_t> limit);

/// Rows {"context", "choices", "answer"}: the answer is an index from 0, or a letter. Throws as read_mmlu.
std::vector<ChoiceSample> read_choices(const std::filesystem::path& file, std::optional<int64_t> limit);

/// activity_label + ": " + ctx_a + " " + ctx_b with a capital, as the model reads it; also of the endings.
std::string clean_hellaswag(const std::string& text);

}  // namespace excitor
