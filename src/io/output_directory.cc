#include "io/output_directory.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/descriptor.h"
#include "io/file.h"
#include "io/posix_error.h"
#include "io/sync_directory.h"

namespace mach::io {
namespace {

constexpr const char* kLockName = "/lock";

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return error ? PosixError("remove", path, error.value()) : Ok();
}

// Files that a killed writer had not committed (CreateOutputFile).
Status RemoveUncommitted(const std::string& staging) {
  MACH_TRY(const std::vector<std::string> names, PosixFileSystem().List(staging));
  for (const std::string& name : names) {
    if (name.find(".tmp-") == std::string::npos) continue;
    const std::string file = staging + "/" + name;
    if (unlink(file.c_str()) != 0 && errno != ENOENT) return PosixError("remove", file, errno);
  }
  return Ok();
}

class PosixOutputDirectory final : public OutputDirectory {
 public:
  PosixOutputDirectory(std::string path, std::string staging, Descriptor lock)
      : path_(std::move(path)), staging_(std::move(staging)), lock_(std::move(lock)) {}

  const std::string& path() const override { return path_; }
  const std::string& staging() const override { return staging_; }

  Result<std::unique_ptr<OutputFile>> Create(const std::string& name) override {
    return CreateOutputFile(staging_ + "/" + name);
  }

  Status Remove(const std::string& name) override {
    const std::string file = staging_ + "/" + name;
    if (unlink(file.c_str()) != 0 && errno != ENOENT) return PosixError("remove", file, errno);
    return Ok();
  }

  Result<uint64_t> FreeBytes() override {
    struct statvfs status {};
    if (statvfs(staging_.c_str(), &status) != 0) {
      return PosixError("tell the free space of", staging_, errno);
    }
    return uint64_t{status.f_bavail} * status.f_frsize;
  }

  Status Publish() override {
    MACH_RETURN_IF_ERROR(Remove(kLockName + 1));  // what holds the lock is open still
    MACH_RETURN_IF_ERROR(SyncDirectory(staging_));
    if (rename(staging_.c_str(), path_.c_str()) == 0) return SyncDirectory(ParentOf(path_));
    if (errno != ENOTEMPTY && errno != EEXIST) {
      return PosixError("rename a temporary directory to", path_, errno);
    }
    MACH_RETURN_IF_ERROR(Exchange());
    MACH_RETURN_IF_ERROR(SyncDirectory(ParentOf(path_)));
    return RemoveTree(staging_);
  }

 private:
  // Gives each of the two the other's name, so that a kill at any moment leaves one whole
  // directory under the final name.
  Status Exchange() {
    if (renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
      return Ok();
    }
    if (errno != EINVAL && errno != ENOSYS) return PosixError("replace", path_, errno);
    // File systems without it: for a moment nothing has the name.
    const std::string old = path_ + ".old";
    MACH_RETURN_IF_ERROR(RemoveTree(old));
    if (rename(path_.c_str(), old.c_str()) != 0) return PosixError("rename", path_, errno);
    if (rename(staging_.c_str(), path_.c_str()) != 0) {
      return PosixError("rename a temporary directory to", path_, errno);
    }
    if (rename(old.c_str(), staging_.c_str()) != 0) return PosixError("rename", old, errno);
    return Ok();
  }

  const std::string path_;
  const std::string staging_;
  const Descriptor lock_;  // held while this lives
};

}  // namespace

Result<std::unique_ptr<OutputDirectory>> OpenOutputDirectory(const std::string& path) {
  std::string name = path;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  std::string staging = name + ".partial";
  if (mkdir(staging.c_str(), 0777) != 0 && errno != EEXIST) {
    return PosixError("create the directory", staging, errno);
  }
  const std::string lock = staging + kLockName;
  Descriptor fd(openat(AT_FDCWD, lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.valid()) return PosixError("create", lock, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return PosixError("lock", lock, errno);
    return Error{Code::kBusy, "'" + staging + "' is being written by another process; wait for it"};
  }
  MACH_RETURN_IF_ERROR(RemoveUncommitted(staging));
  return std::unique_ptr<OutputDirectory>(
      std::make_unique<PosixOutputDirectory>(std::move(name), std::move(staging), std::move(fd)));
}

}  // namespace mach::io
