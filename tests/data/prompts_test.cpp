#include <excitor/data/prompts.h>

#include <gtest/gtest.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

class Prompts : public testing::Test {
 protected:
  std::vector<ImagePrompt> read(const std::string& text) {
    write_file_atomically(folder_ / "prompts.jsonl", text);
    return read_prompts(folder_ / "prompts.jsonl");
  }
  TemporaryFolder folder_;
};

TEST_F(Prompts, RowsSayPromptOrInstructionAndInput) {
  const auto prompts =
      read("{\"prompt\": \"a\"}\n\n{\"instruction\": \"b\", \"input\": \"c\", \"output\": \"ignored\"}\n");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[0].instruction.instruction, "a");
  EXPECT_EQ(prompts[1].instruction.instruction, "b");
  EXPECT_EQ(prompts[1].instruction.input, "c");
}

TEST_F(Prompts, ImagesAreRelativeToTheFile) {
  const auto prompts = read(
      "{\"prompt\": \"a\", \"image\": \"x/y.png\"}\n{\"prompt\": \"b\", \"image\": \"/z.png\"}\n"
      "{\"prompt\": \"c\", \"image\": null}\n");
  ASSERT_EQ(prompts.size(), 3);
  EXPECT_EQ(prompts[0].image, folder_ / "x/y.png");
  EXPECT_EQ(prompts[1].image, "/z.png");
  EXPECT_EQ(prompts[2].image, "");
}

TEST_F(Prompts, BadRowsAreNamedByTheirLine) {
  try {
    read("{\"prompt\": \"a\"}\n{\"prompt\": 7}\n{\"text\": \"a\"}\n");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("prompts.jsonl:2"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("prompts.jsonl:3"), std::string::npos) << error.what();
  }
}

TEST_F(Prompts, AMissingFileIsAWrongCommandLine) {
  EXPECT_THROW(read_prompts(folder_ / "nowhere"), ConfigError);
}

}  // namespace
}  // namespace excitor
