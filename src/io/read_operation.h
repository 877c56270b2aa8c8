// What both readers share: open files, checked requests, and how a read goes on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/async_reader.h"
#include "io/descriptor.h"

namespace mach::io {

struct DirectFile {
  std::string path;
  Descriptor fd;
  uint64_t size = 0;
};

// kUnsupported when the file system refuses O_DIRECT.
Result<DirectFile> OpenDirect(const std::string& path, bool direct);

Status CheckRequest(const ReadRequest& request, const std::vector<DirectFile>& files);

// A request on its way.
struct ReadOperation {
  ReadRequest request;
  const DirectFile* file = nullptr;
  size_t done = 0;  // bytes that are in place, a multiple of the alignment
  int stalls = 0;   // results in a row that brought nothing

  uint64_t offset() const { return request.offset + done; }
  std::span<std::byte> destination() const { return request.destination.subspan(done); }

  // Takes the result (bytes, or a negated errno) of reading destination() at offset(). Nothing:
  // read on from the new offset().
  std::optional<ReadCompletion> Advance(int64_t result, ReadInterceptor* interceptor);
};

Result<std::unique_ptr<AsyncReader>> CreateUringReader(const ReaderOptions& options);
Result<std::unique_ptr<AsyncReader>> CreatePreadReader(const ReaderOptions& options);

}  // namespace mach::io
