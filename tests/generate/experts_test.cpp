// Experts that are small scripts.
#include <excitor/generate/experts.h>

#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Experts : public testing::Test {
 protected:
  /// An expert NAME that runs a script with the image as "$1".
  Expert script(const std::string& name, const std::string& body) const {
    const fs::path file = folder_ / (name + ".sh");
    write_file_atomically(file, "#!/bin/sh\n" + body + "\n");
    fs::permissions(file, fs::perms::owner_all);
    return Expert(fmt::format("{}='{}' {{image}}", name, file.string()));
  }
  std::string error_of(const Expert& expert, const ChildLimits& limits = {}) const {
    try {
      expert.ask(folder_ / "a b.png", limits);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  static std::string refusal_of(const std::string& description) {
    try {
      const Expert expert(description);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

TEST_F(Experts, AreToldTheImageInOneWord) {
  EXPECT_EQ(script("path", "echo \"$# $1\"").ask(folder_ / "a b $HOME;.png"),
            "1 " + (folder_ / "a b $HOME;.png").string());
  const Expert twice("twice=echo '<{image}|{image}>' x");
  EXPECT_EQ(twice.ask("/tmp/{image}"), "</tmp/{image}|/tmp/{image}> x");
}

TEST_F(Experts, ARelativePathNeverLooksLikeAnOption) {
  EXPECT_EQ(Expert("e=echo {image}").ask("-n"), (fs::current_path() / "-n").string());
}

TEST_F(Experts, WordsStandInLinesByTheirNames) {
  const std::vector<Expert> experts{script("ocr", "printf ' STOP\\nHERE \\f'"), script("silent", "echo"),
                                    script("caption", "echo 'a sign'")};
  EXPECT_EQ(expert_words(experts, folder_ / "x.png"), "ocr: STOP\nHERE\ncaption: a sign");
  EXPECT_EQ(expert_words({}, folder_ / "x.png"), "");
}

TEST_F(Experts, WordsStandInFrontOfTheInput) {
  EXPECT_EQ(with_context({"What is it?", ""}, "ocr: STOP").input, "ocr: STOP");
  EXPECT_EQ(with_context({"What is it?", "a note"}, "ocr: STOP").input, "ocr: STOP\na note");
  EXPECT_EQ(with_context({"What is it?", "a note"}, "").input, "a note");
}

TEST_F(Experts, FailuresNameProgramImageAndTheFirstLineOfTheirWords) {
  EXPECT_THAT(error_of(script("bad", "echo >&2; echo 'no model' >&2; echo more >&2; exit 4")),
              AllOf(HasSubstr("bad.sh"), HasSubstr("a b.png"), HasSubstr("exit code 4"),
                    HasSubstr("it said: no model"), testing::Not(HasSubstr("more"))));
  EXPECT_THAT(error_of(script("slow", "echo busy >&2; sleep 60"), {.seconds = 0.1}),
              AllOf(HasSubstr("slow.sh"), HasSubstr("a b.png"), HasSubstr("0.1 seconds"), HasSubstr("busy"),
                    HasSubstr("--expert-seconds")));
  EXPECT_THAT(error_of(script("loud", "yes"), {.output_bytes = 100}),
              AllOf(HasSubstr("loud.sh"), HasSubstr("100 bytes")));
  EXPECT_THAT(error_of(script("binary", "printf 'ab\\377'")),
              AllOf(HasSubstr("binary.sh"), HasSubstr("byte 2"), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of(script("crash", "kill -SEGV $$")),
              AllOf(HasSubstr("crash.sh"), HasSubstr("signal 11")));
}

TEST_F(Experts, DescriptionsThatCannotBeAreRefused) {
  EXPECT_THAT(refusal_of("caption"), HasSubstr("NAME=PROGRAM"));
  EXPECT_THAT(refusal_of("=echo {image}"), HasSubstr("NAME=PROGRAM"));
  EXPECT_THAT(refusal_of("caption="), HasSubstr("no program"));
  EXPECT_THAT(refusal_of("caption=echo image"), HasSubstr("found no {image}"));
  EXPECT_THAT(refusal_of("caption=echo '{image}"), HasSubstr("without its end"));
  EXPECT_THAT(refusal_of("caption=no-such-captioner {image}"),
              AllOf(HasSubstr("no-such-captioner"), HasSubstr("PATH")));
}

TEST_F(Experts, TesseractIsAskedForWhereItIsNot) {
  const char* path = std::getenv("PATH");
  const std::string former = path ? path : "";
  ASSERT_EQ(setenv("PATH", folder_.path().c_str(), 1), 0);
  const std::string refusal = refusal_of("ocr");
  setenv("PATH", former.c_str(), 1);
  EXPECT_THAT(refusal, AllOf(HasSubstr("tesseract"), HasSubstr("apt-get install tesseract-ocr")));
}

}  // namespace
}  // namespace excitor
