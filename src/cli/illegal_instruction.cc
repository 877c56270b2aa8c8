#include "cli/illegal_instruction.h"

#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace mach::cli {
namespace {

// Written before the handler is installed; the handler may call only what is async-signal-safe.
char g_text[1024];
size_t g_length = 0;

void Write(const char* data, size_t n) {
  while (n > 0) {
    const ssize_t written = write(STDERR_FILENO, data, n);
    if (written <= 0) return;
    data += written;
    n -= static_cast<size_t>(written);
  }
}

// Copies the first line of /proc/cpuinfo that begins with `key` to standard error.
void WriteCpuInfo(const char* text, const char* key) {
  const char* line = std::strstr(text, key);
  if (line == nullptr) return;
  const char* end = std::strchr(line, '\n');
  Write("  ", 2);
  Write(line, end == nullptr ? std::strlen(line) : static_cast<size_t>(end - line));
  Write("\n", 1);
}

void OnIllegalInstruction(int signal) {
  Write(g_text, g_length);
  // One processor's entry; its flags alone are some 2,000 bytes.
  static char cpuinfo[8192];
  const int file = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    size_t have = 0;
    while (have < sizeof cpuinfo - 1) {
      const ssize_t n = read(file, cpuinfo + have, sizeof cpuinfo - 1 - have);
      if (n <= 0) break;
      have += static_cast<size_t>(n);
    }
    close(file);
    for (const char* key : {"model name", "flags", "Features"}) WriteCpuInfo(cpuinfo, key);
  }
  raise(signal);  // SA_RESETHAND and SA_NODEFER: now the default action
}

}  // namespace

std::string IllegalInstructionText(std::string_view chosen, std::string_view available) {
  return "mach: illegal instruction. The kernels run as " + std::string(chosen) +
         "; this processor was found to have " + std::string(available) +
         ". Try --isa scalar, or another of these, and please report this with what follows.\n";
}

void ExplainIllegalInstructions(std::string_view chosen, std::string_view available) {
  g_length = IllegalInstructionText(chosen, available).copy(g_text, sizeof g_text);
  struct sigaction action = {};
  action.sa_handler = OnIllegalInstruction;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace mach::cli
