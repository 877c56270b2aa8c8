#include "io/async_reader.h"

#include <algorithm>
#include <cstring>

#include "base/aligned_memory.h"
#include "io/file.h"
#include "io/read_operation.h"

namespace mach::io {
namespace {

constexpr size_t kMaxDepth = 4096;

// Empty when the first block of path comes right.
std::string TryMode(ReadMode mode, const std::string& path) {
  const auto attempt = [&]() -> Status {
    MACH_TRY(const std::unique_ptr<File> file, PosixFileSystem().Open(path));
    const size_t bytes = std::min<uint64_t>(file->size(), kDirectAlignment);
    if (bytes == 0) return Error{Code::kInvalidArgument, "'" + path + "' is empty"};
    std::vector<std::byte> expected(bytes);
    MACH_RETURN_IF_ERROR(ReadExactly(*file, 0, expected));

    MACH_TRY(AlignedBuffer buffer, AlignedBuffer::Allocate(kDirectAlignment));
    MACH_TRY(const auto reader, AsyncReader::Create(mode, {.depth = 1, .threads = 1}));
    MACH_TRY(const uint32_t number, reader->AddFile(path));
    const std::span<std::byte> destination = buffer.bytes().first(kDirectAlignment);
    reader->RegisterBuffers(std::span(&destination, 1));
    const ReadRequest request{.file = number, .destination = destination, .required = bytes};
    MACH_RETURN_IF_ERROR(reader->Submit(std::span(&request, 1)));
    std::vector<ReadCompletion> done;
    MACH_CHECK(reader->Wait(done) == 1);
    if (!done[0].bytes) return done[0].bytes.error();
    if (std::memcmp(destination.data(), expected.data(), bytes) != 0) {
      return Error{Code::kIo,
                   "'" + path + "': a direct read gave other bytes than an ordinary one"};
    }
    return Ok();
  };
  const Status status = attempt();
  return status.ok() ? "" : status.error().message;
}

}  // namespace

std::string_view ReadModeName(ReadMode mode) {
  return mode == ReadMode::kIoUring ? "io_uring" : "pread";
}

Result<std::unique_ptr<AsyncReader>> AsyncReader::Create(ReadMode mode,
                                                         const ReaderOptions& options) {
  if (options.depth == 0 || options.depth > kMaxDepth || options.threads == 0 ||
      options.threads > options.depth) {
    return Error{Code::kInvalidArgument,
                 "a reader of depth " + std::to_string(options.depth) + " with " +
                     std::to_string(options.threads) + " threads, expected a depth from 1 to " +
                     std::to_string(kMaxDepth) + " and threads from 1 to the depth"};
  }
  return mode == ReadMode::kIoUring ? CreateUringReader(options) : CreatePreadReader(options);
}

ReadProbe ProbeReaders(const std::string& path) {
  return {TryMode(ReadMode::kIoUring, path), TryMode(ReadMode::kPread, path)};
}

}  // namespace mach::io
