#include <excitor/data/scienceqa.h>

#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <excitor/data/question_rows.h>
#include <excitor/util/error.h>
#include <excitor/util/python_text.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostChoices = 26;  // letters

std::string text_or_none(const QuestionRow& row, const char* key) {
  return row.has(key) ? row.text(key) : "";
}

std::string read_subject(const QuestionRow& row) {
  const std::map<std::string, std::string> kSubjects{
      {"natural science", "NAT"}, {"social science", "SOC"}, {"language science", "LAN"}};
  const std::string subject = row.text("subject");
  const auto found = kSubjects.find(subject);
  if (found == kSubjects.end()) {
    row.fail(fmt::format(
        "\"subject\" must be natural science, social science or language science; found \"{}\"", subject));
  }
  return found->second;
}

int64_t read_grade(const QuestionRow& row) {
  const std::string grade = row.text("grade");
  for (int64_t number = 1; number <= 12; ++number) {
    if (grade == fmt::format("grade{}", number)) return number;
  }
  row.fail(fmt::format("\"grade\" must be grade1 to grade12; found \"{}\"", grade));
}

int64_t read_answer(const QuestionRow& row, size_t choices) {
  const Json answer = row.value().contains("answer") ? row.value()["answer"] : Json();
  if (answer.is_number_integer() && answer >= 0 && answer < choices) return answer.get<int64_t>();
  row.fail(fmt::format("\"answer\" must be one of the {} choices, 0 to {}; found {}", choices, choices - 1,
                       describe_value(answer)));
}

/// Objects of many keys, found by name in an instant (Json searches one after the other).
class Index {
 public:
  Index(const Json& object, const fs::path& file) : file_(file.string()) {
    if (!object.is_object())
      throw DataError(
          fmt::format("{}: expected an object of questions, found {}", file_, describe_value(object)));
    for (const auto& item : object.items()) by_name_.emplace(item.key(), &item.value());
  }
  const Json* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::unordered_map<std::string, const Json*> by_name_;
};

ScienceQuestion read_question(const std::string& id, const Index& problems, const Index* captions) {
  const Json* problem = problems.find(id);
  if (!problem)
    throw DataError(
        fmt::format("{}: has no question \"{}\", which pid_splits.json names", problems.file(), id));
  const QuestionRow row(*problem, fmt::format("{}: question \"{}\"", problems.file(), id));
  if (!problem->is_object()) row.fail("expected an object, found " + describe_value(*problem));
  ScienceQuestion question{.id = id,
                           .question = row.text("question"),
                           .choices = row.texts("choices", 1),
                           .hint = text_or_none(row, "hint"),
                           .caption = "",
                           .image = text_or_none(row, "image"),
                           .lecture = text_or_none(row, "lecture"),
                           .solution = text_or_none(row, "solution"),
                           .subject = read_subject(row),
                           .grade = read_grade(row)};
  if (question.choices.size() > kMostChoices) row.fail("more than 26 choices");
  question.answer = read_answer(row, question.choices.size());
  const Json* caption = captions ? captions->find(id) : nullptr;
  if (caption && caption->is_string()) question.caption = caption->get<std::string>();
  return question;
}

/// The first `count` questions of a split; all of them without a count.
std::vector<ScienceQuestion> read_split(const Json& splits, const fs::path& file, const char* name,
                                        std::optional<int64_t> count, const Index& problems,
                                        const Index* captions) {
  if (!splits.is_object() || !splits.contains(name) || !splits[name].is_array())
    throw DataError(fmt::format("{}: has no list \"{}\"", file.string(), name));
  if (splits[name].empty())
    throw DataError(fmt::format("{}: the split \"{}\" is empty", file.string(), name));
  std::vector<ScienceQuestion> questions;
  for (const Json& id : splits[name]) {
    if (count && std::ssize(questions) >= *count) break;
    const std::string text = id.is_string() ? id.get<std::string>() : id.dump();
    questions.push_back(read_question(text, problems, captions));
  }
  return questions;
}

std::string context_of(const ScienceQuestion& question) {
  const std::string joined = question.hint + " " + question.caption;
  const std::string_view context = strip(joined);
  return context.empty() ? "N/A" : std::string(context);
}

/// Newlines as the two characters \n, so that an answer is one line.
std::string on_one_line(const std::string& text) {
  return replace_all(text, "\n", "\\n");
}

/// The original's text.replace("  ", " ").strip().
std::string tidy(std::string text) {
  return std::string(strip(replace_all(std::move(text), "  ", " ")));
}

std::string input_of(const ScienceQuestion& question) {
  std::string options;
  for (size_t c = 0; c < question.choices.size(); ++c)
    options += fmt::format("{}({}) {}", c == 0 ? "" : " ", static_cast<char>('A' + c), question.choices[c]);
  return fmt::format("Question: {}\nContext: {}\nOptions: {}\n", question.question, context_of(question),
                     options);
}

}  // namespace

ScienceSplit read_scienceqa(const fs::path& folder, const ScienceOptions& options) {
  require_folder(folder, "a folder with problems.json and pid_splits.json");
  const fs::path problems_file = folder / "problems.json", splits_file = folder / "pid_splits.json";
  const Json problems = read_document(problems_file), splits = read_document(splits_file);
  const Index index(problems, problems_file);
  Json captions_json;
  std::optional<Index> captions;
  if (!options.captions.empty()) {
    captions_json = read_document(options.captions);
    captions.emplace(captions_json.contains("captions") ? captions_json["captions"] : captions_json,
                     options.captions);
  }
  const Index* captions_index = captions ? &*captions : nullptr;
  ScienceSplit split;
  split.questions =
      read_split(splits, splits_file, options.split.c_str(), options.limit, index, captions_index);
  if (options.shots > 0)
    split.shots = read_split(splits, splits_file, "train", options.shots, index, captions_index);
  return split;
}

std::string science_prompt(const ScienceQuestion& question) {
  return tidy(input_of(question) + "Answer:");
}

std::string science_example(const ScienceQuestion& question, ScienceFormat format) {
  const std::string reasons =
      format == ScienceFormat::qcm_a
          ? ""
          : fmt::format("{} {} ", on_one_line(question.lecture), on_one_line(question.solution));
  return tidy(fmt::format("{}Answer: {}The answer is {}.", input_of(question), reasons,
                          static_cast<char>('A' + question.answer)));
}

}  // namespace excitor
