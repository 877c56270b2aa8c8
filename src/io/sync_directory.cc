#include "io/sync_directory.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "io/descriptor.h"
#include "io/posix_error.h"

namespace mach::io {

Status SyncDirectory(const std::string& path) {
  const Descriptor fd(openat(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!fd.valid()) return PosixError("open", path, errno);
  // File systems that cannot say so with EINVAL.
  if (fsync(fd.get()) != 0 && errno != EINVAL) return PosixError("make durable", path, errno);
  return Ok();
}

}  // namespace mach::io
