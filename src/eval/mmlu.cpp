#include <algorithm>

#include <fmt/format.h>

#include <excitor/data/question_rows.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/python_text.h>

#include "choice_sample.h"
#include "csv_rows.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr size_t kColumns = 6;  // question, four choices, letter

struct Question {
  std::string place;
  std::string text;  ///< up to "Answer:"
  char letter;
};

Question read_question(const CsvRow& row, const std::string& file) {
  const std::string place = fmt::format("{}:{}", file, row.line);
  if (row.fields.size() != kColumns) {
    throw DataError(
        fmt::format("{}: found {} columns; expected {}: question, A, B, C, D, answer (put fields with commas "
                    "into quotes)",
                    place, row.fields.size(), kColumns));
  }
  const std::string_view letter = strip(row.fields[5]);
  if (letter.size() != 1 || letter[0] < 'A' || letter[0] > 'D') {
    throw DataError(fmt::format("{}: the answer \"{}\" is outside the choices; expected A, B, C or D", place,
                                row.fields[5]));
  }
  std::string text = row.fields[0];
  for (size_t c = 0; c < 4; ++c)
    text += fmt::format("\n{}. {}", static_cast<char>('A' + c), row.fields[c + 1]);
  return {.place = place, .text = text + "\nAnswer:", .letter = letter[0]};
}

std::vector<Question> read_questions(const fs::path& file) {
  require_file(file, "the questions of a subject, as CSV");
  std::vector<Question> questions;
  for (const CsvRow& row : read_csv(file)) questions.push_back(read_question(row, file.string()));
  if (questions.empty()) throw DataError(file.string() + ": the split is empty; expected questions");
  return questions;
}

/// The first `count` questions of dev with their answers.
std::shared_ptr<const std::vector<std::string>> read_shots(const fs::path& file, int64_t count) {
  auto shots = std::make_shared<std::vector<std::string>>();
  if (count == 0) return shots;
  const std::vector<Question> questions = read_questions(file);
  if (std::ssize(questions) < count)
    log::warning(
        fmt::format("{}: holds {} examples, fewer than {} shots", file.string(), questions.size(), count));
  for (const Question& question : questions) {
    if (std::ssize(*shots) == count) break;
    shots->push_back(fmt::format("{} {}\n\n", question.text, question.letter));
  }
  return shots;
}

/// The subjects of test/, in their alphabetical order.
std::vector<std::string> find_subjects(const fs::path& folder) {
  constexpr std::string_view kSuffix = "_test.csv";
  require_folder(folder / "test", "the folder test/ of MMLU, with SUBJECT_test.csv");
  std::vector<std::string> subjects;
  for (const auto& entry : fs::directory_iterator(folder / "test")) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kSuffix) && !name.starts_with('.'))
      subjects.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
  if (subjects.empty())
    throw DataError(
        fmt::format("{}: the split is empty; expected SUBJECT_test.csv", (folder / "test").string()));
  std::ranges::sort(subjects);
  return subjects;
}

/// Each word of the subject follows a space, so two stand before the first.
std::string header_of(const std::string& subject) {
  return fmt::format("The following are multiple choice questions (with answers) about  {}.\n\n",
                     replace_all(subject, "_", " "));
}

}  // namespace

std::vector<ChoiceSample> read_mmlu(const fs::path& folder, int64_t shots, std::optional<int64_t> limit) {
  require_folder(folder, "a folder with dev/ and test/");
  const std::vector<std::string> subjects = find_subjects(folder);
  std::vector<ChoiceSample> samples;
  size_t read = 0;
  for (const std::string& subject : subjects) {
    if (limit && std::ssize(samples) >= *limit) break;
    const auto examples = read_shots(folder / "dev" / (subject + "_dev.csv"), shots);
    for (const Question& question : read_questions(folder / "test" / (subject + "_test.csv"))) {
      if (limit && std::ssize(samples) >= *limit) break;
      samples.push_back({.place = question.place,
                         .subject = subject,
                         .header = header_of(subject),
                         .shots = examples,
                         .context = question.text,
                         .choices = {"A", "B", "C", "D"},
                         .answer = question.letter - 'A'});
    }
    ++read;
  }
  if (read < subjects.size()) {
    log::warning(fmt::format("mmlu: --limit {} leaves {} of {} subjects out, in alphabetical order", *limit,
                             subjects.size() - read, subjects.size()));
  }
  return samples;
}

}  // namespace excitor
