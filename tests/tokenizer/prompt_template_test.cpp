#include <excitor/tokenizer/prompt_template.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// The two texts as OpenGVLab/LLaMA-Adapter's training code (521a09d) has them.
TEST(PromptTemplate, AlpacaWithoutInputIsTheShortPrompt) {
  EXPECT_EQ(PromptTemplate("alpaca").render({.instruction = "Name a colour.", .input = ""}),
            "Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nName a colour.\n\n### Response:");
}

TEST(PromptTemplate, AlpacaWithInputIsTheLongPrompt) {
  EXPECT_EQ(
      PromptTemplate("alpaca").render({.instruction = "Translate.", .input = "Guten Tag"}),
      "Below is an instruction that describes a task, paired with an input that provides further context. "
      "Write a response that appropriately completes the request.\n\n"
      "### Instruction:\nTranslate.\n\n### Input:\nGuten Tag\n\n### Response:");
}

TEST(PromptTemplate, PlainAddsNothing) {
  EXPECT_EQ(PromptTemplate("plain").render({.instruction = "Once upon a time", .input = ""}),
            "Once upon a time");
}

TEST(PromptTemplate, PlainPutsTheInputOnTheNextLine) {
  EXPECT_EQ(PromptTemplate("plain").render({.instruction = "Translate:", .input = "Guten Tag"}),
            "Translate:\nGuten Tag");
}

TEST(PromptTemplate, BracesInAnInstructionStayAsTheyAre) {
  EXPECT_THAT(PromptTemplate("alpaca").render({.instruction = "What is {} in {input}?", .input = ""}),
              HasSubstr("\nWhat is {} in {input}?\n"));
}

TEST(PromptTemplate, AnUnknownNameIsAnErrorThatNamesTheKnownOnes) {
  EXPECT_THAT([] { PromptTemplate("alpacca"); },
              ThrowsMessage<ConfigError>(AllOf(HasSubstr("\"alpacca\""), HasSubstr("alpaca, plain"))));
}

}  // namespace
}  // namespace excitor
