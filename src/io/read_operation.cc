#include "io/read_operation.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/units.h"
#include "io/posix_error.h"

namespace mach::io {
namespace {

// Interrupted or empty-handed tries before a read is given up.
constexpr int kMaxStalls = 100;

bool IsAligned(uint64_t n) { return n % kDirectAlignment == 0; }

}  // namespace

Result<DirectFile> OpenDirect(const std::string& path, bool direct) {
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (direct ? O_DIRECT : 0);
  int fd;
  do {
    fd = openat(AT_FDCWD, path.c_str(), flags);
  } while (fd < 0 && errno == EINTR);
  DirectFile file{.path = path, .fd = Descriptor(fd)};
  if (fd < 0) {
    if (direct && errno == EINVAL) {
      return Error{Code::kUnsupported,
                   "'" + path +
                       "' lies on a file system without direct reads (O_DIRECT); move it "
                       "to a local disk (ext4, xfs, btrfs)"};
    }
    return PosixError("open", path, errno);
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) return PosixError("inspect", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{Code::kInvalidArgument, "'" + path + "' is no regular file"};
  }
  file.size = static_cast<uint64_t>(status.st_size);
  return file;
}

Status CheckRequest(const ReadRequest& request, const std::vector<DirectFile>& files) {
  const auto invalid = [&](const std::string& message) {
    return Error{Code::kInvalidArgument, "direct read: " + message};
  };
  if (request.file >= files.size()) {
    return invalid("file " + std::to_string(request.file) + " of " + std::to_string(files.size()));
  }
  const DirectFile& file = files[request.file];
  const size_t size = request.destination.size();
  if (!IsAligned(request.offset) || !IsAligned(size) || size == 0 ||
      !IsAligned(reinterpret_cast<uintptr_t>(request.destination.data()))) {
    return invalid("'" + file.path + "': " + std::to_string(size) + " bytes at offset " +
                   std::to_string(request.offset) +
                   ", expected offset, size and address in multiples of " +
                   std::to_string(kDirectAlignment));
  }
  const size_t required = request.required == 0 ? size : request.required;
  if (required > size || request.offset > file.size || required > file.size - request.offset) {
    return invalid("'" + file.path + "': " + std::to_string(required) + " of " +
                   std::to_string(size) + " bytes at offset " + std::to_string(request.offset) +
                   ", but the file has " + std::to_string(file.size));
  }
  return Ok();
}

std::optional<ReadCompletion> ReadOperation::Advance(int64_t result, ReadInterceptor* interceptor) {
  const size_t wanted = destination().size();
  if (interceptor != nullptr) {
    result = interceptor->OnResult(file->path, offset(), wanted, result);
  }
  const auto fail = [&](Error error) {
    return ReadCompletion{request.tag, std::move(error).In("offset " + std::to_string(offset()))};
  };
  if (result == -EINTR || result == -EAGAIN) {
    if (++stalls < kMaxStalls) return std::nullopt;
    return fail(PosixError("read", file->path, static_cast<int>(-result)));
  }
  if (result < 0) return fail(PosixError("read", file->path, static_cast<int>(-result)));

  const size_t got = std::min(static_cast<size_t>(result), wanted);
  const size_t total = done + got;
  const size_t required = request.required == 0 ? request.destination.size() : request.required;
  if (got == wanted) return ReadCompletion{request.tag, total};
  const bool at_end = got == 0 || request.offset + total >= file->size;
  if (at_end && total >= required) return ReadCompletion{request.tag, total};

  // The rest must begin aligned, so that part of a block is read again. A block that never comes
  // whole is the end of a file that has shrunk.
  const size_t whole = got / kDirectAlignment * kDirectAlignment;
  stalls = whole == 0 ? stalls + 1 : 0;
  if (got == 0 || stalls >= kMaxStalls) {
    return ReadCompletion{
        request.tag,
        Error{Code::kCorrupt, "'" + file->path + "' ends at byte " +
                                  std::to_string(request.offset + total) + ", expected " +
                                  BytesText(required) + " at offset " +
                                  std::to_string(request.offset) +
                                  ": the file was changed while in use; make it again"}};
  }
  done += whole;
  return std::nullopt;
}

}  // namespace mach::io
