#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "../../src/eval/csv_rows.h"
#include "../../src/eval/intervals.h"
#include "../../src/eval/scienceqa.h"
#include "util/temporary_folder.h"

namespace excitor {
namespace {

using testing::ElementsAre;

TEST(ReadCsv, FieldsInQuotesHoldWhatSeparates) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.csv";
  write_file_atomically(file, "\xEF\xBB\xBF\"a,\"\"b\"\"\",\"c\r\nd\",e\r\n\n\n,\"\",\"x\"y\nlast,one,\"2\"");
  const std::vector<CsvRow> rows = read_csv(file);
  ASSERT_EQ(rows.size(), 3);
  EXPECT_THAT(rows[0].fields, ElementsAre("a,\"b\"", "c\r\nd", "e"));
  EXPECT_THAT(rows[1].fields, ElementsAre("", "", "xy"));
  EXPECT_THAT(rows[2].fields, ElementsAre("last", "one", "2"));
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 5);
  EXPECT_EQ(rows[2].line, 6);
}

TEST(ReadCsv, AnEmptyFileHasNoRows) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "a.csv", "\r\n\n");
  EXPECT_TRUE(read_csv(folder.path() / "a.csv").empty());
}

// Expected: Python's re.findall(r"The answer is ([A-Z]).", text), exactly one match.
TEST(ScienceQa, AnswersAreReadAsTheOriginalDoes) {
  EXPECT_EQ(read_science_answer(" The answer is B.", 3), 1);
  EXPECT_EQ(read_science_answer("since so. The answer is A, I think", 3), 0);
  EXPECT_EQ(read_science_answer("The answer is C", 3), std::nullopt);
  EXPECT_EQ(read_science_answer("The answer is D.", 3), std::nullopt);
  EXPECT_EQ(read_science_answer("The answer is A. The answer is A.", 3), std::nullopt);
  EXPECT_EQ(read_science_answer("The answer is a.", 3), std::nullopt);
  EXPECT_EQ(read_science_answer("", 3), std::nullopt);
}

TEST(Intervals, AreNormal) {
  const auto [low, high] = share_interval({1, 0, 1, 1});
  EXPECT_NEAR(low, 0.75 - 1.959963984540054 * 0.25, 1e-12);
  EXPECT_EQ(high, 1);
}

}  // namespace
}  // namespace excitor
