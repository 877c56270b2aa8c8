#include "io/file.h"

#include <algorithm>
#include <cerrno>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "io/descriptor.h"
#include "io/posix_error.h"

namespace mach::io {
namespace {

// Linux transfers at most this much in one call.

int OpenRetrying(const std::string& path, int flags) {
  int fd;
  do {
    fd = openat(AT_FDCWD, path.c_str(), flags);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}

  const std::string& path() const override { return path_; }
  uint64_t size() const override { return size_; }

  Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) override {
    if (offset > uint64_t{INT64_MAX}) return size_t{0};
    const size_t want = std::min(out.size(), kMaxTransfer);
    ssize_t n;
    do {
      n = pread(fd_.get(), out.data(), want, static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return PosixError("read", path_, errno).In("offset " + std::to_string(offset));
    return static_cast<size_t>(n);
  }

 private:
  const std::string path_;
  const Descriptor fd_;
  const uint64_t size_;
};

class Posix final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path) override {
    // O_NONBLOCK: opening a pipe must not wait for a writer. It has no effect on regular files.
    Descriptor fd(OpenRetrying(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) return PosixError("open", path, errno);
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return PosixError("inspect", path, errno);
    if (!S_ISREG(status.st_mode)) {
      return Error{Code::kInvalidArgument,
                   "'" + path + "' is " +
                       (S_ISDIR(status.st_mode) ? "a directory" : "no regular file") +
                       ", expected a file"};
    }
    return std::unique_ptr<File>(
        std::make_unique<PosixFile>(path, fd.Release(), static_cast<uint64_t>(status.st_size)));
  }

  bool Exists(const std::string& path) override {
    return faccessat(AT_FDCWD, path.c_str(), F_OK, 0) == 0;
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    Descriptor fd(OpenRetrying(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY));
    if (!fd.valid()) return PosixError("list", path, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd.get()), closedir);
    if (dir == nullptr) return PosixError("list", path, errno);
    fd.Release();
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(dir.get());
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    if (errno != 0) return PosixError("list", path, errno);
    std::ranges::sort(names);
    return names;
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static Posix* const fs = new Posix;  // never destroyed: files may outlive static destructors
  return *fs;
}

Status ReadExactly(File& file, uint64_t offset, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    MACH_TRY(const size_t n, file.ReadSome(offset + done, out.subspan(done)));
    MACH_CHECK(n <= out.size() - done);
    if (n == 0) {
      return Error{Code::kCorrupt, "'" + file.path() + "' ends at byte " +
                                       std::to_string(offset + done) + ", expected " +
                                       BytesText(out.size()) + " at offset " +
                                       std::to_string(offset) +
                                       ": the file is truncated or was changed while in use; "
                                       "copy or download it again"};
    }
    done += n;
  }
  return Ok();
}

Result<std::string> ReadSmallFile(FileSystem& fs, const std::string& path, size_t max_bytes) {
  MACH_TRY(const std::unique_ptr<File> file, fs.Open(path));
  if (file->size() > max_bytes) {
    return Error{Code::kCorrupt, "'" + path + "' has " + BytesText(file->size()) +
                                     ", more than the " + BytesText(max_bytes) +
                                     " that such a file may have"};
  }
  std::string text(static_cast<size_t>(file->size()), '\0');
  MACH_RETURN_IF_ERROR(ReadExactly(*file, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace mach::io
