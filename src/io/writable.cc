#include "io/writable.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <unistd.h>

#include "io/posix_error.h"

namespace mach::io {

namespace {

// Faults of a disk, not of the directory that was named.
bool IsDiskFault(int error) { return error == ENOSPC || error == EDQUOT || error == EIO; }

}  // namespace

Status CheckWritable(const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed && IsDiskFault(failed.value())) return Ok();
  if (failed) return PosixError("create the directory", directory, failed.value());
  std::string name = directory + "/.mach-writable-XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0 && IsDiskFault(errno)) return Ok();
  if (file < 0) return PosixError("create a file in", directory, errno);
  close(file);
  unlink(name.c_str());
  return Ok();
}

}  // namespace mach::io
