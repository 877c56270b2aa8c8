#include "io/new_directory.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/posix_error.h"
#include "io/sync_directory.h"

namespace mach::io {
namespace {

namespace fs = std::filesystem;

}  // namespace

Result<NewDirectory> NewDirectory::Create(const std::string& path) {
  if (path.empty()) return Error{Code::kInvalidArgument, "the output directory has no name"};
  // Without links, dots and a slash at the end, so that the neighbour is on the same file system.
  std::error_code error;
  std::string name = fs::weakly_canonical(fs::absolute(path, error), error).string();
  if (error) return PosixError("find", path, error.value());
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();

  const fs::file_status status = fs::symlink_status(name, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status)) {
      return Error{Code::kInvalidArgument, "'" + path +
                                               "' exists and is no directory; name a new "
                                               "directory"};
    }
    const bool empty = fs::is_empty(name, error);
    if (error) return PosixError("read the directory", path, error.value());
    if (!empty) {
      return Error{Code::kInvalidArgument,
                   "'" + path + "' exists and is not empty; name a new directory, or remove it"};
    }
  }
  std::string staging = name + ".partial";
  if (mkdir(staging.c_str(), 0777) != 0) {
    if (errno != EEXIST) return PosixError("create the directory", staging, errno);
    return Error{Code::kBusy, "'" + staging +
                                  "' exists: another process writes it, or was killed "
                                  "while it did; remove it if none does"};
  }
  return NewDirectory(std::move(name), std::move(staging));
}

NewDirectory::NewDirectory(NewDirectory&& o) noexcept
    : path_(std::move(o.path_)), staging_(std::exchange(o.staging_, {})) {}

NewDirectory::~NewDirectory() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

Result<uint64_t> NewDirectory::FreeBytes() const {
  struct statvfs status {};
  if (statvfs(staging_.c_str(), &status) != 0) {
    return PosixError("tell the free space of", staging_, errno);
  }
  return uint64_t{status.f_bavail} * status.f_frsize;
}

Status NewDirectory::Publish() {
  MACH_CHECK(!staging_.empty());
  MACH_RETURN_IF_ERROR(SyncDirectory(staging_));
  // Replaces an empty directory, and nothing else.
  if (rename(staging_.c_str(), path_.c_str()) != 0) {
    return PosixError("rename '" + staging_ + "' to", path_, errno);
  }
  staging_.clear();
  return SyncDirectory(fs::path(path_).parent_path().string());
}

}  // namespace mach::io
