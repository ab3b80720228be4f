// HellaSwag, and files of free choices.
#include <excitor/util/error.h>

#include <charconv>

#include <fmt/format.h>

#include <excitor/data/question_rows.h>
#include <excitor/util/python_text.h>

#include "choice_sample.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// An index from 0, given as an integer or as its digits.
std::optional<int64_t> read_index(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_string()) return std::nullopt;
  const std::string& digits = value.get_ref<const std::string&>();
  int64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole ? std::optional(index) : std::nullopt;
}

std::optional<int64_t> read_letter(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  const std::string& letter = value.get_ref<const std::string&>();
  const bool is_letter = letter.size() == 1 && letter[0] >= 'A' && letter[0] <= 'Z';
  return is_letter ? std::optional<int64_t>(letter[0] - 'A') : std::nullopt;
}

/// The right choice of `count`.
int64_t read_answer(const QuestionRow& row, const char* key, size_t count, bool letters) {
  const Json value = row.value().contains(key) ? row.value()[key] : Json();
  std::optional<int64_t> answer = read_index(value);
  if (!answer && letters) answer = read_letter(value);
  if (answer && *answer >= 0 && *answer < static_cast<int64_t>(count)) return *answer;
  row.fail(fmt::format("\"{}\" must be one of the {} choices, 0 to {}{}; found {}", key, count, count - 1,
                       letters ? fmt::format(", or A to {}", static_cast<char>('A' + count - 1)) : "",
                       row.value().contains(key) ? describe_value(value) : "none"));
}

/// \[.*?\] of Python: from a bracket to the next closing one of the same line.
std::string without_brackets(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t end = text[i] == '[' ? text.find_first_of("]\n", i) : std::string::npos;
    if (end != std::string::npos && text[end] == ']') {
      i = end + 1;
    } else {
      out += text[i++];
    }
  }
  return out;
}

ChoiceSample read_hellaswag_row(const QuestionRow& row) {
  if (!row.has("label") || row.value()["label"] == "")
    row.fail("has no \"label\"; the test split is published without answers: use the validation split");
  const std::vector<std::string> endings = row.texts("endings", 2);
  ChoiceSample sample{
      .place = row.place(),
      .context = clean_hellaswag(row.text("activity_label") + ": " + row.text("ctx_a") + " " +
                                 capitalise(row.text("ctx_b"))),
      .choices = {},
      .answer = read_answer(row, "label", endings.size(), false),
  };
  for (const std::string& ending : endings) sample.choices.push_back(clean_hellaswag(ending));
  return sample;
}

/// A space that ends the context, or begins a choice, is the one that stands between them.
ChoiceSample read_choices_row(const QuestionRow& row) {
  std::vector<std::string> choices = row.texts("choices", 2);
  for (std::string& choice : choices) {
    if (choice.starts_with(' ')) choice.erase(0, 1);
    if (choice.empty()) row.fail("\"choices\" holds an empty text");
  }
  std::string context = row.text("context");
  if (context.ends_with(' ')) context.pop_back();
  return {.place = row.place(),
          .subject = row.has("subject") ? row.text("subject") : "",
          .context = context,
          .choices = choices,
          .answer = read_answer(row, "answer", choices.size(), true)};
}

std::vector<ChoiceSample> read_samples(const fs::path& file, std::optional<int64_t> limit,
                                       ChoiceSample (*read_row)(const QuestionRow&)) {
  std::vector<ChoiceSample> samples;
  for (const QuestionRow& row : read_question_rows(file)) {
    if (limit && std::ssize(samples) >= *limit) break;
    samples.push_back(read_row(row));
  }
  return samples;
}

}  // namespace

std::string clean_hellaswag(const std::string& text) {
  std::string out(strip(text));
  out = replace_all(out, " [title]", ". ");
  return replace_all(without_brackets(out), "  ", " ");
}

std::vector<ChoiceSample> read_hellaswag(const fs::path& file, std::optional<int64_t> limit) {
  return read_samples(file, limit, read_hellaswag_row);
}

std::vector<ChoiceSample> read_choices(const fs::path& file, std::optional<int64_t> limit) {
  return read_samples(file, limit, read_choices_row);
}

}  // namespace excitor
