// Asynchronous direct reads: batches of large aligned reads, past the page cache, into memory of
// the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mach::io {

// Offsets, destinations and sizes of reads are multiples of this, as O_DIRECT wants them.
inline constexpr size_t kDirectAlignment = 4096;

enum class ReadMode : uint8_t { kIoUring, kPread };
std::string_view ReadModeName(ReadMode mode);  // "io_uring", "pread"

struct ReadRequest {
  uint32_t file = 0;  // of AddFile
  uint64_t offset = 0;
  std::span<std::byte> destination = {};  // must stay until the completion is taken
  // Bytes that must arrive; 0: all of destination. Less lets a read cover the end of a file whose
  // size is no multiple of the alignment.
  size_t required = 0;
  uint64_t tag = 0;  // comes back with the completion
};

struct ReadCompletion {
  uint64_t tag;
  // Bytes in destination, at least `required`. kIo: the system's error. kCorrupt: the file ended
  // before. The message names file and offset.
  Result<size_t> bytes;
};

// Changes what the system says about single reads, for tests. Thread-safe.
class ReadInterceptor {
 public:
  virtual ~ReadInterceptor() = default;
  // A read of `size` bytes at `offset` gave `result`: bytes, or a negated errno. What this returns
  // takes its place; bytes may only become fewer.
  virtual int64_t OnResult(const std::string& path, uint64_t offset, size_t size,
                           int64_t result) = 0;
};

struct ReaderOptions {
  size_t depth = 64;   // reads in flight at most; 1 to 4096
  size_t threads = 8;  // of kPread; 1 to depth
  // Of kIoUring: reads that the system has at once; others wait their turn inside. 0: depth. A disk
  // with fewer to choose from gives them back sooner.
  size_t at_once = 0;
  // Without, reads go through the page cache: for diagnostics, where O_DIRECT does not work.
  bool direct = true;
  ReadInterceptor* interceptor = nullptr;  // must outlive the reader
};

// Used by one thread at a time; one that submits must not end before its reads have (the kernel
// would cancel them). Short reads, EINTR and EAGAIN are gone on after inside.
class AsyncReader {
 public:
  // kUnsupported when the machine lacks the mode (io_uring forbidden or too old): try the other.
  static Result<std::unique_ptr<AsyncReader>> Create(ReadMode mode,
                                                     const ReaderOptions& options = {});

  // Waits for the reads that the system has begun; their completions are lost.
  virtual ~AsyncReader() = default;

  virtual ReadMode mode() const = 0;
  virtual size_t depth() const = 0;
  // Requests taken by Submit whose completions were not taken yet.
  virtual size_t in_flight() const = 0;

  // Opens a file for reading; gives the number for requests. kUnsupported when its file system has
  // no direct reads. REQUIRES: nothing in flight.
  virtual Result<uint32_t> AddFile(const std::string& path) = 0;
  virtual uint64_t FileBytes(uint32_t file) const = 0;  // when it was opened

  // Tells the system about memory that destinations will lie in, which saves work per read. Gives
  // the bytes that it took on: fewer or 0 where the mode has no such thing or the limit of locked
  // memory (ulimit -l) forbids it. Reads go anywhere all the same. Each call replaces the last.
  // The memory must outlive the reader. REQUIRES: nothing in flight.
  virtual size_t RegisterBuffers(std::span<const std::span<std::byte>> buffers) = 0;

  // Takes requests from the front while there is room; gives how many. Does not wait for reads.
  // kInvalidArgument for a request that breaks the alignment, passes the end of its file or names
  // none; nothing is taken then. kIo when the reader is broken for good.
  virtual Result<size_t> Submit(std::span<const ReadRequest> requests) = 0;

  // Appends completions in any order; gives how many. Poll takes what is there, Wait waits for at
  // least one unless nothing is in flight.
  virtual size_t Poll(std::vector<ReadCompletion>& out) = 0;
  virtual size_t Wait(std::vector<ReadCompletion>& out) = 0;
};

// What works on this machine for files beside `path`: reads its first block in each mode and
// compares it with an ordinary read. An empty reason means that the mode works.
struct ReadProbe {
  std::string io_uring;
  std::string pread;
};
ReadProbe ProbeReaders(const std::string& path);

}  // namespace mach::io
