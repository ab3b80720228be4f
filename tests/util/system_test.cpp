#include <excitor/util/system.h>

#include <gtest/gtest.h>

#include <excitor/util/files.h>

#include "util/temporary_folder.h"

namespace excitor {
namespace {

TEST(Cores, AQuotaLimitsThoseThatMayBeUsed) {
  const TemporaryFolder group;
  const Cores all = count_cores(group.path());
  EXPECT_GE(all.online, all.allowed);
  EXPECT_GE(all.allowed, 1);
  EXPECT_EQ(all.usable, all.allowed) << "no quota";
  const auto usable_with = [&](const char* quota) {
    write_file_atomically(group / "cpu.max", quota);
    return count_cores(group.path()).usable;
  };
  EXPECT_EQ(usable_with("max 100000\n"), all.allowed);
  EXPECT_EQ(usable_with("100000 100000\n"), 1);
  EXPECT_EQ(usable_with("20000 100000\n"), 1);
  EXPECT_EQ(usable_with("900000000 100000\n"), all.allowed);
}

}  // namespace
}  // namespace excitor
