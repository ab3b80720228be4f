#include <gmock/gmock.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

TEST(Log, TheTerminalGetsPlainLinesOnStandardError) {
  testing::internal::CaptureStderr();
  log::debug("hidden");
  log::info("{} 100%");
  log::warning("mind the gap");
  log::error("run.json: 2 problems\n  first");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "{} 100%\nwarning: mind the gap\nerror: run.json: 2 problems\n  first\n");
}

TEST(Log, TheLevelOfTheTerminalCanBeSet) {
  testing::internal::CaptureStderr();
  log::set_terminal_level(log::Level::debug);
  log::debug("shown");
  log::set_terminal_level(log::Level::error);
  log::warning("hidden");
  log::set_terminal_level(log::Level::info);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "debug: shown\n");
}

TEST(Log, TheFileKeepsDateAndLevelWhateverTheTerminalShows) {
  const TemporaryFolder folder;
  testing::internal::CaptureStderr();
  log::set_terminal_level(log::Level::error);
  log::open_file(folder / "log.txt");
  log::debug("too fine");
  log::info("one");
  log::warning("two");
  const std::string date = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}";
  EXPECT_THAT(read_file(folder / "log.txt"),
              testing::MatchesRegex(date + " info one\n" + date + " warning two\n"));  // before it is closed

  log::close_file();
  log::error("three");
  log::open_file(folder / "log.txt");
  log::error("four");
  log::close_file();
  log::set_terminal_level(log::Level::info);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: three\nerror: four\n");
  EXPECT_THAT(read_file(folder / "log.txt"),
              testing::AllOf(testing::StartsWith("20"), testing::HasSubstr("two\n"),
                             testing::EndsWith("error four\n"), testing::Not(testing::HasSubstr("three"))));
}

TEST(Log, AFileThatCantBeOpenedIsAnError) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { log::open_file(folder.path()); },
              testing::ThrowsMessage<IoError>(testing::StartsWith(folder.path().string() + ": ")));
}

}  // namespace
}  // namespace excitor
