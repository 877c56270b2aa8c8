#include "io/async_reader.h"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "base/aligned_memory.h"
#include "io/testing/fault_reader.h"

namespace mach::io {
namespace {

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

constexpr size_t kBlock = kDirectAlignment;

struct Way {
  ReadMode mode;
  size_t at_once;  // of ReaderOptions, where a test says nothing else
};
std::string NameOf(const Way& way) {
  return std::string(ReadModeName(way.mode)) +
         (way.at_once == 0 ? "" : "_" + std::to_string(way.at_once));
}

// In each mode that the machine has, direct and, for what its file system lacks, through the cache.
class AsyncReaderTest : public testing::TestWithParam<Way> {
 protected:
  AsyncReaderTest()
      : dir_(std::string(MACH_BINARY_DIR) + "/test_" + NameOf(GetParam()) + "_" +
             std::filesystem::path(testing::UnitTest::GetInstance()->current_test_info()->name())
                 .parent_path()
                 .string()),
        memory_(*AlignedBuffer::Allocate(64 * kBlock)) {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~AsyncReaderTest() override { std::filesystem::remove_all(dir_); }

  // Byte i of a file is a hash of i and its name.
  static char ByteAt(const std::string& name, uint64_t i) {
    return static_cast<char>((i * 2654435761u >> 7) ^ (i >> 12) ^ name.size());
  }
  std::string Write(const std::string& name, size_t bytes) {
    std::string content(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) content[i] = ByteAt(name, i);
    std::ofstream(dir_ + "/" + name, std::ios::binary) << content;
    return dir_ + "/" + name;
  }

  std::unique_ptr<AsyncReader> Make(ReaderOptions options = {.depth = 4, .threads = 2}) {
    if (options.at_once == 0) options.at_once = GetParam().at_once;
    auto reader = AsyncReader::Create(GetParam().mode, options);
    if (!reader) {
      EXPECT_EQ(reader.error().code, Code::kUnsupported) << reader.error().message;
      missing_ = reader.error().message;
      return nullptr;
    }
    return *std::move(reader);
  }

  std::span<std::byte> Blocks(size_t first, size_t n) {
    return memory_.bytes().subspan(first * kBlock, n * kBlock);
  }

  // Waits until nothing is in flight; completions by tag.
  static std::map<uint64_t, Result<size_t>> Drain(AsyncReader& reader) {
    std::vector<ReadCompletion> done;
    while (reader.in_flight() > 0) EXPECT_GT(reader.Wait(done), 0u);
    std::map<uint64_t, Result<size_t>> by_tag;
    for (ReadCompletion& c : done) {
      EXPECT_TRUE(by_tag.emplace(c.tag, std::move(c.bytes)).second) << "tag twice: " << c.tag;
    }
    return by_tag;
  }

  // One read, to its end.
  Result<size_t> ReadOne(AsyncReader& reader, const ReadRequest& request) {
    MACH_TRY(const size_t taken, reader.Submit(std::span(&request, 1)));
    EXPECT_EQ(taken, 1u);
    return Drain(reader).at(request.tag);
  }

  static void ExpectBytes(const std::string& name, uint64_t offset,
                          std::span<const std::byte> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_EQ(static_cast<char>(bytes[i]), ByteAt(name, offset + i)) << name << " byte " << i;
    }
  }

  const std::string dir_;
  AlignedBuffer memory_;
  std::string missing_;  // why this machine has no such reader
};

INSTANTIATE_TEST_SUITE_P(Modes, AsyncReaderTest,
                         testing::Values(Way{ReadMode::kIoUring, 0}, Way{ReadMode::kIoUring, 1},
                                         Way{ReadMode::kIoUring, 3}, Way{ReadMode::kPread, 0}),
                         [](const auto& p) { return NameOf(p.param); });

TEST_P(AsyncReaderTest, BatchesFromSeveralFilesLandWhereTheyBelong) {
  for (const bool registered : {true, false}) {
    const auto reader = Make();
    if (reader == nullptr) GTEST_SKIP() << missing_;
    EXPECT_EQ(reader->mode(), GetParam().mode);
    const std::vector<std::string> names = {"a", "bb", "ccc"};
    for (const std::string& name : names) {
      const auto file = reader->AddFile(Write(name, 40 * kBlock));
      ASSERT_TRUE(file.ok()) << file.error().message;
      EXPECT_EQ(reader->FileBytes(*file), 40 * kBlock);
    }
    if (registered) {
      // Two pieces, so that one read straddles them and one lies in each.
      const std::vector<std::span<std::byte>> pieces = {Blocks(0, 10), Blocks(10, 20)};
      const size_t taken = reader->RegisterBuffers(pieces);
      EXPECT_TRUE(taken == 0 || taken == 30 * kBlock) << taken;
    }
    std::vector<ReadRequest> requests;
    for (uint32_t i = 0; i < 16; ++i) {
      requests.push_back({.file = i % 3,
                          .offset = (i * 7 % 36) * kBlock,
                          .destination = Blocks(i * 4, 1 + i % 4),
                          .tag = 100 + i});
    }
    std::memset(memory_.data(), 0xEE, memory_.size());
    // The queue holds four: the rest is offered again.
    std::vector<ReadCompletion> done;
    size_t submitted = 0;
    while (done.size() < requests.size()) {
      const auto taken = reader->Submit(std::span<const ReadRequest>(requests).subspan(submitted));
      ASSERT_TRUE(taken.ok()) << taken.error().message;
      submitted += *taken;
      EXPECT_LE(reader->in_flight(), reader->depth());
      EXPECT_TRUE(*taken > 0 || reader->in_flight() == reader->depth() ||
                  submitted == requests.size());
      ASSERT_GT(reader->Wait(done), 0u);
    }
    EXPECT_EQ(reader->in_flight(), 0u);
    std::vector<ReadCompletion> none;
    EXPECT_EQ(reader->Wait(none), 0u);
    EXPECT_EQ(reader->Poll(none), 0u);
    for (const ReadCompletion& c : done) {
      ASSERT_TRUE(c.bytes.ok()) << c.bytes.error().message;
      const ReadRequest& r = requests.at(c.tag - 100);
      EXPECT_EQ(*c.bytes, r.destination.size());
      ExpectBytes(names[r.file], r.offset, r.destination);
    }
    // Nothing beside the destinations was touched.
    EXPECT_EQ(Blocks(1, 1)[0], std::byte{0xEE});
  }
}

TEST_P(AsyncReaderTest, PollFindsWhatWaitWould) {
  const auto reader = Make();
  if (reader == nullptr) GTEST_SKIP() << missing_;
  ASSERT_TRUE(reader->AddFile(Write("a", 8 * kBlock)).ok());
  const ReadRequest request{.destination = Blocks(0, 8), .tag = 7};
  ASSERT_EQ(*reader->Submit(std::span(&request, 1)), 1u);
  std::vector<ReadCompletion> done;
  while (reader->Poll(done) == 0) std::this_thread::yield();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].tag, 7u);
  EXPECT_EQ(*done[0].bytes, 8 * kBlock);
}

// The system has a few reads at once; the others follow though nobody asks.
TEST_P(AsyncReaderTest, TheDiskWorksOnWhileTheCallerDoesNot) {
  const std::string path = Write("a", 16 * kBlock);
  FaultInterceptor interceptor({.at = UINT64_MAX});
  const auto reader = Make({.depth = 16, .threads = 2, .at_once = 2, .interceptor = &interceptor});
  if (reader == nullptr) GTEST_SKIP() << missing_;
  ASSERT_TRUE(reader->AddFile(path).ok());
  std::vector<ReadRequest> requests;
  for (size_t i = 0; i < 16; ++i) {
    requests.push_back({.offset = i * kBlock, .destination = Blocks(i * 4, 1), .tag = i});
  }
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(*reader->Submit(requests), 16u);
    // All but the last, which the kernel may have without anybody taking note of its end.
    const uint64_t seen = 16 * static_cast<uint64_t>(round) + 14;
    for (int i = 0; i < 10000 && interceptor.reads() < seen; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_GE(interceptor.reads(), seen);
    for (const auto& [tag, bytes] : Drain(*reader)) {
      ASSERT_TRUE(bytes.ok()) << bytes.error().message;
      ExpectBytes("a", tag * kBlock, Blocks(tag * 4, 1));
    }
  }
}

TEST_P(AsyncReaderTest, RequestsThatBreakTheRulesAreRefused) {
  const auto reader = Make();
  if (reader == nullptr) GTEST_SKIP() << missing_;
  ASSERT_TRUE(reader->AddFile(Write("a", 8 * kBlock + 100)).ok());
  const auto refused = [&](const ReadRequest& bad) {
    const std::vector<ReadRequest> batch = {{.destination = Blocks(0, 1)}, bad};
    const auto taken = reader->Submit(batch);
    EXPECT_EQ(reader->in_flight(), 0u);
    if (taken.ok()) return std::string("taken");
    EXPECT_EQ(taken.error().code, Code::kInvalidArgument);
    return taken.error().message;
  };
  EXPECT_HAS(refused({.file = 1, .destination = Blocks(0, 1)}), "file 1 of 1");
  const std::string alignment = "expected offset, size and address in multiples of 4096";
  EXPECT_HAS(refused({.offset = 512, .destination = Blocks(0, 1)}), alignment);
  EXPECT_HAS(refused({.destination = Blocks(0, 1).first(512)}), alignment);
  EXPECT_HAS(refused({.destination = Blocks(0, 2).subspan(512, kBlock)}), alignment);
  EXPECT_HAS(refused({.destination = {}}), alignment);
  EXPECT_HAS(refused({.destination = Blocks(0, 9)}), "but the file has 32868");
  EXPECT_HAS(refused({.offset = 16 * kBlock, .destination = Blocks(0, 1)}),
             "but the file has 32868");
  EXPECT_HAS(refused({.offset = UINT64_MAX / kBlock * kBlock, .destination = Blocks(0, 1)}),
             "but the file has 32868");
  EXPECT_HAS(refused({.destination = Blocks(0, 1), .required = kBlock + 1}), "4097 of 4096 bytes");
  EXPECT_HAS(refused({.offset = 8 * kBlock, .destination = Blocks(0, 1), .required = 101}),
             "101 of 4096 bytes at offset 32768");
}

TEST_P(AsyncReaderTest, TheEndOfAFileMayBeCovered) {
  const auto reader = Make();
  if (reader == nullptr) GTEST_SKIP() << missing_;
  ASSERT_TRUE(reader->AddFile(Write("a", 3 * kBlock + 100)).ok());
  const auto read = ReadOne(
      *reader, {.offset = 2 * kBlock, .destination = Blocks(0, 4), .required = kBlock + 100});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, kBlock + 100);
  ExpectBytes("a", 2 * kBlock, Blocks(0, 4).first(kBlock + 100));
}

TEST_P(AsyncReaderTest, FilesThatShrinkAreCorrupt) {
  for (const uint64_t left :
       {uint64_t{0}, uint64_t{100}, uint64_t{2 * kBlock}, uint64_t{2 * kBlock + 513}}) {
    const auto reader = Make();
    if (reader == nullptr) GTEST_SKIP() << missing_;
    const std::string path = Write("a", 4 * kBlock);
    ASSERT_TRUE(reader->AddFile(path).ok());
    std::filesystem::resize_file(path, left);
    const auto read = ReadOne(*reader, {.destination = Blocks(0, 4)});
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, Code::kCorrupt);
    EXPECT_HAS(read.error().message, "'" + path + "' ends at byte " + std::to_string(left));
  }
}

TEST_P(AsyncReaderTest, ShortAndInterruptedReadsGoOn) {
  const std::string path = Write("a", 16 * kBlock);
  const FaultInterceptor::Faults kinds[] = {
      {.at = 1, .error = EINTR},
      {.at = 1, .count = 20, .error = EAGAIN},
      {.at = 1, .max_read = 3 * kBlock},
      {.at = 1, .count = 5, .max_read = kBlock + 100},  // the odd bytes are read again
      {.at = 2, .count = 3, .max_read = 1},
      {.max_read = kBlock},  // every read
  };
  for (const auto& faults : kinds) {
    FaultInterceptor interceptor(faults);
    const auto reader = Make({.depth = 4, .threads = 2, .interceptor = &interceptor});
    if (reader == nullptr) GTEST_SKIP() << missing_;
    ASSERT_TRUE(reader->AddFile(path).ok());
    std::memset(memory_.data(), 0, memory_.size());
    const std::vector<ReadRequest> requests = {
        {.offset = 0, .destination = Blocks(0, 8), .tag = 0},
        {.offset = 8 * kBlock, .destination = Blocks(8, 8), .tag = 1}};
    ASSERT_EQ(*reader->Submit(requests), 2u);
    for (const auto& [tag, bytes] : Drain(*reader)) {
      ASSERT_TRUE(bytes.ok()) << bytes.error().message;
      EXPECT_EQ(*bytes, 8 * kBlock);
    }
    ExpectBytes("a", 0, Blocks(0, 16));
    EXPECT_GT(interceptor.reads(), 2u);
  }
}

TEST_P(AsyncReaderTest, ReadsThatFailOrStallAreErrors) {
  const std::string path = Write("a", 16 * kBlock);
  const std::pair<FaultInterceptor::Faults, const char*> kinds[] = {
      {{.at = 1, .error = EIO}, "cannot read '"},    {{.at = 2, .error = ENODEV}, "cannot read '"},
      {{.error = EINTR}, "Interrupted system call"}, {{.max_read = 100}, "ends at byte 100"},
      {{.max_read = 0}, "ends at byte 0"},
  };
  for (const auto& [faults, message] : kinds) {
    FaultInterceptor interceptor(faults);
    const auto reader = Make({.depth = 4, .threads = 1, .interceptor = &interceptor});
    if (reader == nullptr) GTEST_SKIP() << missing_;
    ASSERT_TRUE(reader->AddFile(path).ok());
    const std::vector<ReadRequest> requests = {{.destination = Blocks(0, 8), .tag = 0},
                                               {.destination = Blocks(8, 8), .tag = 1}};
    ASSERT_EQ(*reader->Submit(requests), 2u);
    size_t failed = 0;
    for (const auto& [tag, bytes] : Drain(*reader)) {
      if (bytes.ok()) continue;
      ++failed;
      EXPECT_HAS(bytes.error().message, message);
      EXPECT_HAS(bytes.error().message, path);
    }
    EXPECT_EQ(failed, faults.at == 0 ? 2u : 1u);
    // The reader goes on.
    if (faults.at != 0) {
      EXPECT_TRUE(ReadOne(*reader, requests[0]).ok());
    }
  }
}

TEST_P(AsyncReaderTest, DestructionWithReadsInFlightIsClean) {
  const std::string path = Write("a", 16 * kBlock);
  for (int round = 0; round < 20; ++round) {
    const auto reader = Make({.depth = 16, .threads = 2});
    if (reader == nullptr) GTEST_SKIP() << missing_;
    ASSERT_TRUE(reader->AddFile(path).ok());
    std::vector<ReadRequest> requests;
    for (size_t i = 0; i < 16; ++i) requests.push_back({.destination = Blocks(i * 4, 4), .tag = i});
    ASSERT_EQ(*reader->Submit(requests), 16u);
  }
}

TEST_P(AsyncReaderTest, FilesThatCannotBeReadAreNamed) {
  const auto reader = Make();
  if (reader == nullptr) GTEST_SKIP() << missing_;
  EXPECT_EQ(reader->AddFile(dir_ + "/gone").error().code, Code::kNotFound);
  EXPECT_FALSE(reader->AddFile(dir_).ok());
  // A file system without direct reads; the cache serves.
  if (!std::filesystem::exists("/proc/self/status")) return;
  const auto direct = reader->AddFile("/proc/self/status");
  ASSERT_FALSE(direct.ok());
  EXPECT_EQ(direct.error().code, Code::kUnsupported);
  EXPECT_HAS(direct.error().message, "without direct reads (O_DIRECT)");
  EXPECT_TRUE(Make({.depth = 1, .threads = 1, .direct = false})->AddFile("/proc/self/status").ok());
}

TEST_P(AsyncReaderTest, TheFaultReaderFailsDelaysAndReorders) {
  const std::string path = Write("a", 16 * kBlock);
  auto base = Make();
  if (base == nullptr) GTEST_SKIP() << missing_;
  FaultReader reader(std::move(base), {.fail = 2, .max_taken = 3, .reverse = true});
  ASSERT_TRUE(reader.AddFile(path).ok());
  std::vector<ReadRequest> requests;
  for (size_t i = 0; i < 5; ++i) requests.push_back({.destination = Blocks(i * 4, 4), .tag = i});
  ASSERT_EQ(*reader.Submit(requests), 3u);
  EXPECT_EQ(reader.in_flight(), 3u);
  const auto done = Drain(reader);
  ASSERT_EQ(done.size(), 3u);
  EXPECT_TRUE(done.at(0).ok());
  EXPECT_EQ(done.at(1).error().message, "injected");
  EXPECT_TRUE(done.at(2).ok());
  EXPECT_TRUE(ReadOne(reader, requests[3]).ok());
}

TEST(AsyncReader, OptionsAndTheProbeAreChecked) {
  EXPECT_FALSE(AsyncReader::Create(ReadMode::kPread, {.depth = 0}).ok());
  EXPECT_FALSE(AsyncReader::Create(ReadMode::kPread, {.depth = 5000}).ok());
  EXPECT_FALSE(AsyncReader::Create(ReadMode::kPread, {.depth = 4, .threads = 5}).ok());
  EXPECT_FALSE(AsyncReader::Create(ReadMode::kPread, {.threads = 0}).ok());

  const ReadProbe here = ProbeReaders(std::string(MACH_SOURCE_DIR) + "/CMakeLists.txt");
  RecordProperty("io_uring", here.io_uring.empty() ? "works" : here.io_uring);
  RecordProperty("pread", here.pread.empty() ? "works" : here.pread);
  // What the probe says is what a reader finds.
  for (const auto& [mode, reason] :
       {std::pair(ReadMode::kIoUring, here.io_uring), std::pair(ReadMode::kPread, here.pread)}) {
    auto reader = AsyncReader::Create(mode, {.depth = 1, .threads = 1});
    const bool works =
        reader.ok() && (*reader)->AddFile(std::string(MACH_SOURCE_DIR) + "/CMakeLists.txt").ok();
    EXPECT_EQ(reason.empty(), works) << reason;
  }
  const ReadProbe gone = ProbeReaders("/no/such/file");
  EXPECT_HAS(gone.io_uring, "/no/such/file");
  EXPECT_HAS(gone.pread, "/no/such/file");
}

}  // namespace
}  // namespace mach::io
