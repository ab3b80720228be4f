// ScienceQA's files and prompts (lupantech/ScienceQA, models/base_prompt.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <excitor/eval/task.h>

namespace excitor {

struct ScienceQuestion {
  std::string id;
  std::string question;
  std::vector<std::string> choices;
  int64_t answer = 0;
  std::string hint;
  std::string caption;  ///< that stands for the image; empty: none
  std::string image;    ///< file name; empty: none
  std::string lecture;
  std::string solution;
  std::string subject;  ///< "NAT", "SOC", "LAN"
  int64_t grade = 0;    ///< 1 to 12
};

/// The questions of a split, in the order of pid_splits.json.
struct ScienceSplit {
  std::vector<ScienceQuestion> questions;
  std::vector<ScienceQuestion> shots;  ///< the first of the train split
};

struct ScienceOptions {
  std::string captions;  ///< captions.json; empty: without
  int64_t shots = 0;
  std::optional<int64_t> limit;
};

/// Reads problems.json and pid_splits.json. Throws ConfigError for missing files, DataError that names file
/// and question: fields that are missing or of a wrong type, an answer outside the choices, an unknown
/// subject or grade, an empty split, a question that problems.json lacks.
ScienceSplit read_scienceqa(const std::filesystem::path& folder, const ScienceOptions& options);

/// The image of each question in the data set's folder of images (an empty path where a question has none):
/// FOLDER/test/ID/image.png as it is published, FOLDER/ID/image.png, or FOLDER/image.png. Bad ones fail, or
/// are left out and listed in `left_out`. Throws ConfigError (no such folder), DataError.
std::vector<std::filesystem::path> find_science_images(const std::vector<ScienceQuestion>& questions,
                                                       const TaskImages& images,
                                                       std::vector<std::string>& left_out);

enum class ScienceFormat { qcm_a, qcm_lea };

/// "Question: … Context: … Options: (A) … Answer:", up to where the answer begins.
std::string science_prompt(const ScienceQuestion& question, ScienceFormat format);
/// The same with its answer, as an example.
std::string science_example(const ScienceQuestion& question, ScienceFormat format);
/// The choice that "The answer is X." names when it stands there exactly once; nothing for another letter.
std::optional<int64_t> read_science_answer(const std::string& text, size_t choices);

}  // namespace excitor
