// ScienceQA's files and prompts (lupantech/ScienceQA, models/base_prompt.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  std::string split = "test";  ///< "train", "val", …: a key of pid_splits.json
  std::string captions;        ///< captions.json; empty: without
  int64_t shots = 0;
  std::optional<int64_t> limit;
};

/// Reads problems.json and pid_splits.json. Throws ConfigError for missing files, DataError that names file
/// and question: fields that are missing or of a wrong type, an answer outside the choices, an unknown
/// subject or grade, an empty split, a question that problems.json lacks.
ScienceSplit read_scienceqa(const std::filesystem::path& folder, const ScienceOptions& options);

enum class ScienceFormat { qcm_a, qcm_lea };

/// "Question: … Context: … Options: (A) … Answer:", up to where the answer begins.
std::string science_prompt(const ScienceQuestion& question);
/// The same with its answer, as an example.
std::string science_example(const ScienceQuestion& question, ScienceFormat format);
}  // namespace excitor
