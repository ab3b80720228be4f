// ScienceQA's images, and answers that a model wrote.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <excitor/data/scienceqa.h>
#include <excitor/eval/task.h>

namespace excitor {

/// The image of each question in the data set's folder of images (an empty path where a question has none):
/// FOLDER/test/ID/image.png as it is published, FOLDER/ID/image.png, or FOLDER/image.png. Bad ones fail, or
/// are left out and listed in `left_out`. Throws ConfigError (no such folder), DataError.
std::vector<std::filesystem::path> find_science_images(const std::vector<ScienceQuestion>& questions,
                                                       const TaskImages& images,
                                                       std::vector<std::string>& left_out);

/// The choice that "The answer is X." names when it stands there exactly once; nothing for another letter.
std::optional<int64_t> read_science_answer(const std::string& text, size_t choices);

}  // namespace excitor
