#include "io/output_directory.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file.h"
#include "io/sidecar_writer.h"

namespace mach::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace files = std::filesystem;

class OutputDirectoryTest : public ::testing::Test {
 protected:
  OutputDirectoryTest()
      : root_(testing::TempDir() + "mach_output_directory_" +
              testing::UnitTest::GetInstance()->current_test_info()->name()),
        path_(root_ + "/out") {
    files::remove_all(root_);
    files::create_directories(root_);
  }
  ~OutputDirectoryTest() override { files::remove_all(root_); }

  static Status WriteFile(OutputDirectory& directory, const std::string& name,
                          std::string_view text) {
    MACH_TRY(const auto file, directory.Create(name));
    MACH_RETURN_IF_ERROR(file->Write(std::as_bytes(std::span(text))));
    return file->Commit();
  }
  std::string Read(const std::string& name) {
    const auto text = ReadSmallFile(PosixFileSystem(), path_ + "/" + name, 1000);
    return text ? *text : text.error().message;
  }

  const std::string root_;
  const std::string path_;
};

TEST_F(OutputDirectoryTest, AppearsWholeAndReplacesWhatWasThere) {
  for (const char* text : {"first", "second"}) {
    const auto directory = OpenOutputDirectory(path_ + "/");
    ASSERT_TRUE(directory.ok()) << directory.error().message;
    EXPECT_EQ((*directory)->path(), path_);
    ASSERT_TRUE(WriteFile(**directory, "a", text).ok());
    EXPECT_NE(Read("a"), text);
    ASSERT_TRUE(WriteFile(**directory, "b", text).ok());
    ASSERT_TRUE((*directory)->Remove("b").ok());
    EXPECT_TRUE((*directory)->Remove("b").ok());
    EXPECT_GT(*(*directory)->FreeBytes(), 0u);
    const Status published = (*directory)->Publish();
    ASSERT_TRUE(published.ok()) << published.error().message;
    EXPECT_EQ(Read("a"), text);
    EXPECT_THAT(*PosixFileSystem().List(path_), ElementsAre("a"));
    EXPECT_THAT(*PosixFileSystem().List(root_), ElementsAre("out"));
  }
}

TEST_F(OutputDirectoryTest, KeepsCommittedFilesForTheNextAttemptAndNoOthers) {
  {
    const auto directory = OpenOutputDirectory(path_);
    ASSERT_TRUE(directory.ok());
    ASSERT_TRUE(WriteFile(**directory, "a", "kept").ok());
    // What a kill leaves of a file that was being written.
    std::ofstream((*directory)->staging() + "/b.tmp-123-0") << "half";
  }
  EXPECT_FALSE(files::exists(path_));
  const auto directory = OpenOutputDirectory(path_);
  ASSERT_TRUE(directory.ok());
  ASSERT_TRUE((*directory)->Publish().ok());
  EXPECT_EQ(Read("a"), "kept");
  EXPECT_THAT(*PosixFileSystem().List(path_), ElementsAre("a"));
}

TEST_F(OutputDirectoryTest, HasOneWriter) {
  const auto first = OpenOutputDirectory(path_);
  ASSERT_TRUE(first.ok());
  const auto second = OpenOutputDirectory(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr("out.partial' is being written"));
}

TEST_F(OutputDirectoryTest, NamesWhatCannotBeWritten) {
  const auto missing = OpenOutputDirectory(root_ + "/gone/out");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/gone/out.partial': No such file"));
  EXPECT_FALSE(OpenOutputDirectory("/proc/out").ok());
}

TEST_F(OutputDirectoryTest, ASidecarReplacesNothingButASidecar) {
  SidecarManifest manifest;
  manifest.architecture = "qwen3_moe";
  manifest.layers = manifest.experts = manifest.hidden = manifest.width = 1;
  manifest.record_bytes = 100;
  manifest.record_stride = kSidecarAlignment;
  const auto open = [&](const std::string& path) -> std::string {
    const auto directory = OpenOutputDirectory(path);
    if (!directory) return directory.error().message;
    const auto writer = SidecarWriter::Open(PosixFileSystem(), **directory, manifest);
    return writer ? "" : writer.error().message;
  };
  EXPECT_EQ(open(path_), "");  // nothing there
  files::create_directory(path_);
  EXPECT_EQ(open(path_), "");  // empty
  for (const char* name : {"manifest.json", "index.bin", "layer-000.bin"}) {
    std::ofstream(path_ + "/" + name) << "x";
  }
  EXPECT_EQ(open(path_), "");
  for (const char* name : {"layer-x.bin", "layer-.bin", "letters"}) {
    std::ofstream(path_ + "/" + name) << "x";
    EXPECT_THAT(open(path_), HasSubstr("/out' holds '" + std::string(name) + "', which is no"));
    files::remove(path_ + "/" + name);
  }
  std::ofstream(root_ + "/file") << "x";
  EXPECT_THAT(open(root_ + "/file"), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace mach::io
