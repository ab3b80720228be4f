#include <gtest/gtest.h>

#include <excitor/util/python_text.h>
#include "../../src/eval/choice_sample.h"

namespace excitor {
namespace {

// Expected values: Python's str methods.
TEST(PythonText, CapitaliseLowersTheRest) {
  EXPECT_EQ(capitalise("hELLO World"), "Hello world");
  EXPECT_EQ(capitalise("éCOLE ÄÖ"), "École äö");
  EXPECT_EQ(capitalise("ßA"), "Ssa");
  EXPECT_EQ(capitalise("ǆA"), "ǅa");
  EXPECT_EQ(capitalise("1ABC"), "1abc");
  EXPECT_EQ(capitalise(""), "");
}

TEST(PythonText, LowerCaseKnowsTheFinalSigma) {
  EXPECT_EQ(lower_case("ΟΔΟΣ ΣΑΣ"), "οδος σας");
  EXPECT_EQ(lower_case("İX"), "i̇x");
}

TEST(PythonText, StripTakesUnicodesBlanks) {
  EXPECT_EQ(strip(" \t\u3000a b\u00a0\n"), "a b");
  EXPECT_EQ(strip(" \u2003 "), "");
  EXPECT_EQ(strip_end(" a \x1c"), " a");
}

TEST(HellaSwag, CleaningIsThatOfTheHarness) {
  EXPECT_EQ(clean_hellaswag(" A [title] B [header] c [step]  d "), "A. B c  d");
  EXPECT_EQ(clean_hellaswag("x [a\nb] y [open"), "x [a\nb] y [open");
  EXPECT_EQ(clean_hellaswag("a   b"), "a  b");
  EXPECT_EQ(clean_hellaswag("a [substeps]"), "a ");
}

}  // namespace
}  // namespace excitor
