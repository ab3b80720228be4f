// Expert systems: programs that are asked about an image when a prompt is made, and whose words become its
// context (arXiv 2304.15010, section 4.4). No training involved.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/child_process.h>

namespace excitor {

class Expert {
 public:
  /// "ocr" (tesseract, in English), or "NAME=PROGRAM ARGUMENTS", words as in a shell, where {image} is the
  /// image's path. Throws UsageError: no name, no program, no {image}, or a program that is not there, with
  /// the command that installs it.
  explicit Expert(const std::string& description);

  const std::string& name() const { return name_; }
  /// What it writes about the image, without blanks around it; no shell is involved. Throws IoError that
  /// names program and image: it failed (with the first line of its standard error), took too long, wrote too
  /// much; DataError: what it wrote is not UTF-8.
  std::string ask(const std::filesystem::path& image, const ChildLimits& limits = {}) const;

 private:
  std::string name_;
  std::vector<std::string> command_;
};

/// All that the experts say about an image: "NAME: words" of each on lines of its own, in their order; one
/// that has nothing to say is left out.
std::string expert_words(const std::vector<Expert>& experts, const std::filesystem::path& image,
                         const ChildLimits& limits = {});

/// The words stand where a template has the text that an instruction is about (Alpaca's "### Input:"), in
/// front of that text if there is one already.
Instruction with_context(Instruction instruction, const std::string& words);

}  // namespace excitor
