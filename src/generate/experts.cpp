#include <excitor/generate/experts.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <excitor/util/command_words.h>
#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

namespace excitor {
namespace {

constexpr std::string_view kImage = "{image}";
constexpr const char* kForm =
    "expected \"ocr\", or \"NAME=PROGRAM ARGUMENTS\" with {image} for the image's path";

/// Optical character recognition by tesseract, its words on standard output.
const std::vector<std::string> kOcrCommand = {"tesseract", std::string(kImage), "stdout"};
constexpr const char* kOcrInstallation = "sudo apt-get install tesseract-ocr";

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n\f\v";  // tesseract ends pages with a form feed
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string first_line(const std::string& text) {
  const std::string line = trimmed(text);
  return line.substr(0, line.find('\n'));
}

void check_program(const std::string& program, const std::string& description) {
  if (find_program(program)) return;
  const std::string how = program == kOcrCommand.front()
                              ? fmt::format("install it with `{}`", kOcrInstallation)
                              : "give its path, or install it and have its folder in PATH";
  throw UsageError(
      fmt::format("--expert {}: there is no program {} that can be run; {}", description, program, how));
}

/// The words of one program about one image, for messages.
std::string place(const std::string& name, const std::string& program, const std::filesystem::path& image) {
  return fmt::format("expert {} ({}), image {}", name, program, image.string());
}

/// Why a run gave no words; empty where it did.
std::string failure(const ChildResult& result, const ChildLimits& limits) {
  const std::string said = first_line(replace_invalid_utf8(result.errors));
  const std::string words = said.empty() ? "; it said nothing" : fmt::format("; it said: {}", said);
  switch (result.end) {
    case ChildResult::End::out_of_time:
      return fmt::format("took more than {} seconds and was ended{}; give it more with --expert-seconds",
                         limits.seconds, words);
    case ChildResult::End::too_much_output:
      return fmt::format(
          "wrote more than {} bytes, which is no context for a prompt, and was ended; let it write less",
          limits.output_bytes);
    case ChildResult::End::killed_by_signal:
      return fmt::format("was ended by signal {} ({}){}", result.code, strsignal(result.code), words);
    case ChildResult::End::exited:
      break;
  }
  return result.code == 0 ? "" : fmt::format("failed with exit code {}{}", result.code, words);
}

}  // namespace

Expert::Expert(const std::string& description) {
  const size_t equals = description.find('=');
  name_ = description.substr(0, equals);
  if (description == "ocr") {
    command_ = kOcrCommand;
  } else {
    if (equals == std::string::npos || name_.empty())
      throw UsageError(fmt::format("--expert {}: {}", description, kForm));
    command_ = split_words(description.substr(equals + 1));
  }
  const bool asks_about_image = std::ranges::any_of(
      command_, [](const std::string& word) { return word.find(kImage) != std::string::npos; });
  if (command_.empty() || !asks_about_image)
    throw UsageError(fmt::format("--expert {}: {}; found no {}", description, kForm,
                                 command_.empty() ? "program" : "{image}"));
  check_program(command_.front(), description);
}

std::string Expert::ask(const std::filesystem::path& image, const ChildLimits& limits) const {
  // An absolute path never looks like an option.
  const std::string path = std::filesystem::absolute(image).string();
  std::vector<std::string> command = command_;
  for (std::string& word : command) {
    for (size_t at = 0; (at = word.find(kImage, at)) != std::string::npos; at += path.size())
      word.replace(at, kImage.size(), path);
  }
  const std::string where = place(name_, command_.front(), image);
  const ChildResult result = run_child(command, limits);
  if (const std::string reason = failure(result, limits); !reason.empty())
    throw IoError(where + ": " + reason);
  if (const size_t at = find_invalid_utf8(result.output); at != std::string::npos)
    throw DataError(fmt::format("{}: byte {} of what it wrote is not UTF-8", where, at));
  return trimmed(result.output);
}

std::string expert_words(const std::vector<Expert>& experts, const std::filesystem::path& image,
                         const ChildLimits& limits) {
  std::string words;
  for (const Expert& expert : experts) {
    const std::string said = expert.ask(image, limits);
    if (said.empty()) continue;
    if (!words.empty()) words += "\n";
    words += fmt::format("{}: {}", expert.name(), said);
  }
  return words;
}

Instruction with_context(Instruction instruction, const std::string& words) {
  if (words.empty()) return instruction;
  instruction.input = instruction.input.empty() ? words : words + "\n" + instruction.input;
  return instruction;
}

}  // namespace excitor
