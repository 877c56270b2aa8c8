#include "io/safetensors_writer.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/testing/test_checkpoint.h"

namespace mach::io {
namespace {

using tensor::DType;

class WriterTest : public testing::Test {
 protected:
  WriterTest()
      : dir_(testing::TempDir() + "mach_writer_test_" +
             testing::UnitTest::GetInstance()->current_test_info()->name()),
        path_(dir_ + "/out.safetensors") {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~WriterTest() override { std::filesystem::remove_all(dir_); }

  std::vector<std::string> Names() { return *PosixFileSystem().List(dir_); }

  const std::string dir_;
  const std::string path_;
};

TEST_F(WriterTest, WhatIsWrittenReadsBack) {
  const std::vector<TensorSpec> specs = {{"b", DType::kF32, {2, 3}},
                                         {"odd", DType::kU8, {3}},
                                         {"empty", DType::kBF16, {0, 5}},
                                         {"scalar", DType::kI64, {}}};
  auto writer = SafetensorsWriter::Create(path_, specs, {{"format", "mach"}});
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), 0.5f);
  ASSERT_TRUE(writer->Append(std::span<const float>(values).first(4)).ok());
  ASSERT_TRUE(writer->Append(std::span<const float>(values).last(2)).ok());
  const std::string rest = "abc12345678";
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(rest))).ok());
  ASSERT_FALSE(PosixFileSystem().Exists(path_));
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(Names(), std::vector<std::string>{"out.safetensors"});

  auto file = *PosixFileSystem().Open(path_);
  const auto header = ReadSafetensorsHeader(*file);
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->metadata.Find("format")->AsString(), "mach");
  ASSERT_EQ(header->tensors.size(), 4u);
  EXPECT_EQ(header->tensors[0].name, "b");
  EXPECT_EQ(header->tensors[0].offset % 8, 0u);
  EXPECT_EQ(header->tensors[0].shape, (std::vector<uint64_t>{2, 3}));
  std::vector<float> read(6);
  ASSERT_TRUE(
      ReadExactly(*file, header->tensors[0].offset, std::as_writable_bytes(std::span(read))).ok());
  EXPECT_EQ(read, values);
  EXPECT_EQ(file->size(), header->tensors[0].offset + 24 + 3 + 8);
}

TEST_F(WriterTest, TooManyAndTooFewBytesLeaveNoFile) {
  const std::vector<TensorSpec> specs = {{"t", DType::kU8, {4}}};
  {
    auto writer = SafetensorsWriter::Create(path_, specs);
    ASSERT_TRUE(writer.ok());
    const std::string data = "12345";
    const auto append = writer->Append(std::as_bytes(std::span(data)));
    ASSERT_FALSE(append.ok());
    EXPECT_NE(append.error().message.find("5 more bytes of data, but the header leaves room for 4"),
              std::string::npos)
        << append.error().message;
    const auto finish = writer->Finish();
    ASSERT_FALSE(finish.ok());
    EXPECT_NE(finish.error().message.find("4 bytes of data that the header names"),
              std::string::npos)
        << finish.error().message;
  }
  EXPECT_TRUE(Names().empty());
}

TEST_F(WriterTest, AnOlderFileIsReplacedOnlyByAWholeOne) {
  std::ofstream(path_) << "old";
  TestTensors tensors;
  tensors.Count("t", DType::kU32, {5});
  {
    auto abandoned = SafetensorsWriter::Create(path_, tensors.specs());
    ASSERT_TRUE(abandoned.ok());
  }
  EXPECT_EQ(*ReadSmallFile(PosixFileSystem(), path_, 100), "old");
  ASSERT_TRUE(tensors.WriteTo(path_).ok());
  EXPECT_EQ(*ReadSmallFile(PosixFileSystem(), path_, 1000), tensors.Bytes());
  EXPECT_EQ(Names().size(), 1u);
}

TEST_F(WriterTest, AFullDiskIsAnErrorThatNamesTheFile) {
  TestTensors tensors;
  tensors.Count("t", DType::kU32, {100000});
  // The limit of file sizes stands in for the full disk: a short write, then an error.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit low = before;
  low.rlim_cur = 100000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const auto written = tensors.WriteTo(path_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, Code::kIo);
  EXPECT_EQ(
      written.error().message,
      "cannot write '" + path_ + "': File too large; raise the limit of file sizes (ulimit -f)");
  EXPECT_TRUE(Names().empty());
}

TEST_F(WriterTest, PathsThatCannotBeWrittenAreErrors) {
  const auto missing = CreateOutputFile(dir_ + "/gone/x");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  const auto directory = CreateOutputFile(dir_);
  ASSERT_FALSE(directory.ok());
  EXPECT_NE(directory.error().message.find("is no regular file"), std::string::npos);
  EXPECT_FALSE(CreateOutputFile("/dev/full").ok());
}

TEST(MakeSafetensorsHeader, RefusesWhatNoReaderTakes) {
  const auto refused = [](std::vector<TensorSpec> specs, const json::Object& metadata = {}) {
    const auto header = MakeSafetensorsHeader(specs, metadata);
    return header.ok() ? "accepted" : header.error().message;
  };
  EXPECT_NE(refused({{"t", DType::kU8, {1}}, {"t", DType::kU8, {1}}}).find("twice"),
            std::string::npos);
  EXPECT_NE(refused({{"", DType::kU8, {1}}}).find("no valid name"), std::string::npos);
  EXPECT_NE(refused({{"\xFF", DType::kU8, {1}}}).find("no valid name"), std::string::npos);
  EXPECT_NE(refused({{"__metadata__", DType::kU8, {1}}}).find("no valid name"), std::string::npos);
  EXPECT_NE(refused({{std::string(1025, 'x'), DType::kU8, {1}}}).find("no valid name"),
            std::string::npos);
  EXPECT_NE(refused({{"t", DType::kF32, {1u << 31, 1u << 31, 2}}}).find("more bytes"),
            std::string::npos);
  EXPECT_NE(
      refused({{"a", DType::kU8, {uint64_t{1} << 62}}, {"b", DType::kU8, {uint64_t{1} << 62}}})
          .find("more bytes"),
      std::string::npos);
  EXPECT_NE(refused({{"t", DType::kU8, std::vector<uint64_t>(9, 1)}}).find("9 dimensions"),
            std::string::npos);
  EXPECT_NE(refused({{"t", DType::kU8, {0, UINT64_MAX}}}).find("a dimension of"),
            std::string::npos);
  EXPECT_NE(refused({}, {{"n", 1}}).find("metadata 'n' is integer"), std::string::npos);
}

}  // namespace
}  // namespace mach::io
