#include "io/output_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/descriptor.h"
#include "io/path.h"
#include "io/posix_error.h"
#include "io/sync_directory.h"

namespace mach::io {
namespace {

// Linux transfers at most this much in one call.

class PosixOutputFile final : public OutputFile {
 public:
  PosixOutputFile(std::string path, std::string temporary, Descriptor fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}
  ~PosixOutputFile() override {
    if (!temporary_.empty()) unlink(temporary_.c_str());
  }

  const std::string& path() const override { return path_; }

  Status Write(std::span<const std::byte> data) override {
    while (!data.empty()) {
      const ssize_t n = write(fd_.get(), data.data(), std::min(data.size(), kMaxTransfer));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return PosixError("write", path_, errno);
      if (n == 0) return PosixError("write", path_, EIO);
      data = data.subspan(static_cast<size_t>(n));
    }
    return Ok();
  }

  Status Commit() override {
    MACH_CHECK(!temporary_.empty());
    if (fsync(fd_.get()) != 0) return PosixError("write", path_, errno);
    // Network file systems report late write errors here; the descriptor is gone either way.
    if (close(fd_.Release()) != 0 && errno != EINTR) return PosixError("write", path_, errno);
    if (rename(temporary_.c_str(), path_.c_str()) != 0) {
      return PosixError("rename a temporary file to", path_, errno);
    }
    temporary_.clear();
    return SyncDirectory(DirectoryName(path_));
  }

 private:
  const std::string path_;
  std::string temporary_;  // empty once renamed
  Descriptor fd_;
};

}  // namespace

Result<std::unique_ptr<OutputFile>> CreateOutputFile(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return Error{Code::kInvalidArgument,
                 "cannot write '" + path + "': it exists and is no regular file"};
  }
  // Names left over from killed processes are stepped over.
  static std::atomic<uint32_t> counter = 0;
  for (int tries = 0; tries < 100; ++tries) {
    std::string temporary =
        path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter.fetch_add(1));
    Descriptor fd(openat(AT_FDCWD, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                         S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH));
    if (fd.valid()) {
      return std::unique_ptr<OutputFile>(
          std::make_unique<PosixOutputFile>(path, std::move(temporary), std::move(fd)));
    }
    if (errno != EEXIST && errno != EINTR) return PosixError("create", path, errno);
  }
  return PosixError("create", path, EEXIST);
}

}  // namespace mach::io
