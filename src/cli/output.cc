#include "cli/output.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <poll.h>
#include <unistd.h>

namespace mach::cli {
namespace {

int g_first_error = 0;  // an errno; of WriteOutput, on one thread at a time

// A pipe or socket whose other end is closed.
bool ReaderLeft() {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

void MakeWritesFail() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool WriteOutput(std::string_view text) {
  if (std::ferror(stdout) != 0) return false;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return true;
  }
  if (g_first_error == 0) g_first_error = errno;
  return false;
}

int WriteStandardOutput(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      poll(&output, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int FinishOutput(int status) {
  const bool failed_before = std::ferror(stdout) != 0;
  int error = g_first_error;
  if (std::fflush(stdout) != 0) {
    if (error == 0) error = errno;
  } else if (!failed_before) {
    return status;
  }
  if (error == EPIPE || (error == 0 && ReaderLeft())) return kExitOutput;
  std::fprintf(stderr, "mach: cannot write standard output%s%s%s\n", error == 0 ? "" : ": ",
               error == 0 ? "" : std::strerror(error),
               error == EFBIG ? "; raise the limit of file sizes (ulimit -f)" : "");
  return kExitOutput;
}

}  // namespace mach::cli
