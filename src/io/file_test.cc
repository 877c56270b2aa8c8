#include "io/file.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/testing/fault_file_system.h"
#include "io/testing/memory_file_system.h"

namespace mach::io {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest()
      : dir_(testing::TempDir() + "mach_file_test_" +
             testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~FileTest() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  const std::string dir_;
  FileSystem& fs_ = PosixFileSystem();
};

std::string Read(File& file, uint64_t offset, size_t bytes) {
  std::string out(bytes, '\0');
  const auto read = ReadExactly(file, offset, std::as_writable_bytes(std::span(out)));
  return read ? out : "error: " + read.error().message;
}

TEST_F(FileTest, ReadsAtOffsetsAndListsSorted) {
  const std::string path = Write("b", "0123456789");
  Write("a", "");
  EXPECT_EQ(*fs_.List(dir_), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(fs_.Exists(path));
  EXPECT_FALSE(fs_.Exists(dir_ + "/c"));
  auto file = fs_.Open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 10u);
  EXPECT_EQ(Read(**file, 3, 4), "3456");
  EXPECT_EQ(Read(**file, 10, 0), "");
  std::byte byte;
  EXPECT_EQ(*(*file)->ReadSome(10, std::span(&byte, 1)), 0u);
  EXPECT_EQ(*(*file)->ReadSome(UINT64_MAX, std::span(&byte, 1)), 0u);
}

TEST_F(FileTest, WhatIsNoFileIsRefusedWithItsPath) {
  const auto missing = fs_.Open(dir_ + "/gone");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_EQ(missing.error().message, "cannot open '" + dir_ + "/gone': No such file or directory");
  EXPECT_EQ(fs_.List(dir_ + "/gone").error().code, Code::kNotFound);

  const auto directory = fs_.Open(dir_);
  ASSERT_FALSE(directory.ok());
  EXPECT_EQ(directory.error().message, "'" + dir_ + "' is a directory, expected a file");

  const std::string pipe = dir_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(fs_.Open(pipe).error().message, "'" + pipe + "' is no regular file, expected a file");
}

TEST_F(FileTest, AFileThatShrinksIsCorrupt) {
  const std::string path = Write("f", "0123456789");
  auto file = fs_.Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path, 6);
  EXPECT_EQ(Read(**file, 0, 6), "012345");
  std::byte out[4];
  const auto read = ReadExactly(**file, 4, out);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Code::kCorrupt);
  EXPECT_NE(
      read.error().message.find("'" + path + "' ends at byte 6, expected 4 bytes at offset 4"),
      std::string::npos)
      << read.error().message;
}

TEST_F(FileTest, SmallFilesHaveACeiling) {
  const std::string path = Write("f", "0123456789");
  EXPECT_EQ(*ReadSmallFile(fs_, path, 10), "0123456789");
  EXPECT_EQ(*ReadSmallFile(fs_, Write("empty", ""), 10), "");
  const auto large = ReadSmallFile(fs_, path, 9);
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().message,
            "'" + path + "' has 10 bytes, more than the 9 bytes that such a file may have");
}

TEST(FaultFileSystem, ShortReadsAreGoneOnAfterAndFaultsComeThrough) {
  MemoryFileSystem memory;
  memory.Put("f", "0123456789");
  FaultFileSystem shorts(memory, {.max_read = 3});
  EXPECT_EQ(*ReadSmallFile(shorts, "f", 100), "0123456789");
  EXPECT_EQ(shorts.reads(), 4u);
  EXPECT_EQ(shorts.open_files(), 0);

  FaultFileSystem second(memory, {.fail_read = 2, .max_read = 3});
  EXPECT_EQ(ReadSmallFile(second, "f", 100).error().message, "cannot read 'f': injected");
  EXPECT_TRUE(ReadSmallFile(second, "f", 100).ok());
  FaultFileSystem persistent(memory, {.fail_read = 1, .persistent = true});
  EXPECT_FALSE(ReadSmallFile(persistent, "f", 100).ok());
  EXPECT_FALSE(ReadSmallFile(persistent, "f", 100).ok());
  FaultFileSystem open(memory, {.fail_open = 1});
  EXPECT_EQ(ReadSmallFile(open, "f", 100).error().code, Code::kIo);
  FaultFileSystem shrunk(memory, {.end_at = 4});
  EXPECT_EQ(ReadSmallFile(shrunk, "f", 100).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace mach::io
