#include "io/new_directory.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class NewDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = testing::TempDir() + "new_directory_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(base_);
    fs::create_directories(base_);
  }
  void TearDown() override { fs::remove_all(base_); }

  static void Touch(const std::string& path) { std::ofstream(path) << "text"; }
  size_t Entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(base_), {}));
  }

  std::string base_;
};

TEST_F(NewDirectoryTest, AppearsWhenPublished) {
  fs::create_directory(base_ + "/empty");
  for (const std::string name : {"new", "slash/", "empty"}) {
    SCOPED_TRACE(name);
    {
      auto directory = NewDirectory::Create(base_ + "/" + name);
      ASSERT_TRUE(directory.ok()) << directory.error().message;
      Touch(directory->staging() + "/file");
      const auto free = directory->FreeBytes();
      ASSERT_TRUE(free.ok());
      EXPECT_GT(*free, 0u);
      EXPECT_FALSE(fs::exists(base_ + "/" + name + "/file"));
      ASSERT_TRUE(directory->Publish().ok());
    }
    EXPECT_TRUE(fs::exists(base_ + "/" + name + "/file"));
  }
  EXPECT_EQ(Entries(), 3u);
}

TEST_F(NewDirectoryTest, LeavesNothingWhenNotPublished) {
  {
    auto directory = NewDirectory::Create(base_ + "/new");
    ASSERT_TRUE(directory.ok());
    Touch(directory->staging() + "/file");
    const NewDirectory moved = *std::move(directory);
  }
  EXPECT_EQ(Entries(), 0u);
}

TEST_F(NewDirectoryTest, RefusesWhatIsThere) {
  const auto message = [&](const std::string& name, Code code) -> std::string {
    const auto directory = NewDirectory::Create(base_ + "/" + name);
    EXPECT_FALSE(directory.ok()) << name;
    if (directory.ok()) return "";
    EXPECT_EQ(directory.error().code, code) << name;
    return directory.error().message;
  };
  fs::create_directory(base_ + "/full");
  Touch(base_ + "/full/file");
  Touch(base_ + "/plain");
  fs::create_directory(base_ + "/busy.partial");
  Touch(base_ + "/busy.partial/file");
  EXPECT_THAT(message("full", Code::kInvalidArgument), HasSubstr("is not empty"));
  EXPECT_THAT(message("plain", Code::kInvalidArgument), HasSubstr("is no directory"));
  EXPECT_THAT(message("busy", Code::kBusy), HasSubstr("busy.partial' exists"));
  EXPECT_THAT(message("no/where", Code::kNotFound), HasSubstr("no/where.partial"));
  EXPECT_TRUE(fs::exists(base_ + "/full/file"));
  EXPECT_TRUE(fs::exists(base_ + "/busy.partial/file"));
  EXPECT_EQ(Entries(), 3u);
}

TEST_F(NewDirectoryTest, DoesNotReplaceWhatCameMeanwhile) {
  {
    auto directory = NewDirectory::Create(base_ + "/new");
    ASSERT_TRUE(directory.ok());
    fs::create_directory(base_ + "/new");
    Touch(base_ + "/new/file");
    EXPECT_FALSE(directory->Publish().ok());
  }
  EXPECT_TRUE(fs::exists(base_ + "/new/file"));
  EXPECT_EQ(Entries(), 1u);
}

}  // namespace
}  // namespace mach::io
