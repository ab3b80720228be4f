#include "scienceqa_reader.h"

#include <filesystem>

#include <excitor/data/scienceqa.h>
#include <excitor/util/image_path.h>

#include "blanks.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The image's name in its folder; where none of the known places holds it, the published one, to be told of.
std::string image_name(const ScienceQuestion& question, const std::string& split, const std::string& folder) {
  if (question.image.empty() || folder.empty()) return "";
  const std::string published = split + "/" + question.id + "/" + question.image;
  for (const std::string& name : {published, question.id + "/" + question.image, question.image}) {
    std::error_code ignored;
    if (fs::is_regular_file(image_path(folder, name), ignored)) return name;
  }
  return published;
}

}  // namespace

void read_science_examples(const SourceFile& source, const SourceSink& sink) {
  const std::string split = source.file.split == "auto" ? "train" : source.file.split;
  const ScienceFormat format =
      source.file.format == "scienceqa-lea" ? ScienceFormat::qcm_lea : ScienceFormat::qcm_a;
  Origin origin{
      .file = std::make_shared<std::string>(source.file.path), .number = 0, .is_line = false, .list = split};
  const fs::path folder = fs::path(source.file.path).parent_path();
  for (const ScienceQuestion& question : read_scienceqa(folder, {.split = split}).questions) {
    const std::string prompt = science_prompt(question), whole = science_example(question, format);
    sink({.pieces = source.prompt_template.conversation(
              {{.role = Role::user, .content = prompt},
               {.role = Role::assistant, .content = std::string(trim(whole.substr(prompt.size())))}}),
          .image = image_name(question, split, source.file.images),
          .origin = origin});
    ++origin.number;
  }
}

}  // namespace excitor
