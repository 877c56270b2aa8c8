#include "io/writable.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::io {
namespace {

using testing::HasSubstr;

class Writable : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }
  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("writable_test." + std::to_string(getpid()));
};

TEST_F(Writable, MakesWhatIsMissingAndLeavesNothing) {
  const std::filesystem::path deep = root_ / "a" / "b";
  EXPECT_TRUE(CheckWritable(deep).ok());
  EXPECT_TRUE(std::filesystem::is_empty(deep));
}

TEST_F(Writable, NamesWhatCannotBe) {
  std::ofstream(root_ / "file") << "x";
  for (const std::filesystem::path& path : {root_ / "file", root_ / "file" / "in"}) {
    const Status status = CheckWritable(path);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr(path.string()));
    EXPECT_THAT(status.error().message, HasSubstr("cannot create"));
  }
}

}  // namespace
}  // namespace mach::io
