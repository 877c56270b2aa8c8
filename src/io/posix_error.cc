#include "io/posix_error.h"

#include <cerrno>
#include <system_error>

namespace mach::io {

Error PosixError(std::string_view what, const std::string& path, int code) {
  std::string message = "cannot ";
  message.append(what).append(" '").append(path).append("': ");
  message += std::generic_category().message(code);
  if (code == EMFILE || code == ENFILE) message += "; raise the limit of open files (ulimit -n)";
  if (code == EFBIG) message += "; raise the limit of file sizes (ulimit -f)";
  if (code == ENOSPC || code == EDQUOT) message += "; free some space or write elsewhere";
  const bool absent = code == ENOENT || code == ENOTDIR;
  return {absent ? Code::kNotFound : Code::kIo, std::move(message)};
}

}  // namespace mach::io
