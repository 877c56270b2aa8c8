// Runs a command on a machine that lacks something: a seccomp filter answers the system calls, as
// containers and other file systems do.
//
//   forbid io_uring=EPERM|ENOSYS|EINVAL COMMAND...   io_uring cannot be set up
//   forbid o_direct=EINVAL COMMAND...                no file can be opened for direct reads
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#endif

constexpr sock_filter Load(size_t offset) {
  return {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<unsigned>(offset)};
}
// Skips so many instructions when the loaded word does not match.
constexpr sock_filter UnlessEqual(unsigned value, unsigned char skip) {
  return {BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value};
}
constexpr sock_filter UnlessSet(unsigned bits, unsigned char skip) {
  return {BPF_JMP | BPF_JSET | BPF_K, 0, skip, bits};
}
constexpr sock_filter Return(unsigned action) { return {BPF_RET | BPF_K, 0, 0, action}; }

template <size_t n>
bool Install(std::array<sock_filter, n> filter) {
  const sock_fprog program{n, filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool ForbidIoUring(int error) {
  return Install(std::array{Load(offsetof(seccomp_data, arch)), UnlessEqual(kArchitecture, 3),
                            Load(offsetof(seccomp_data, nr)), UnlessEqual(SYS_io_uring_setup, 1),
                            Return(SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
                            Return(SECCOMP_RET_ALLOW)});
}

// The flags are the third argument, whose low half comes first on these machines.
bool ForbidDirect(int error) {
  return Install(std::array{Load(offsetof(seccomp_data, arch)), UnlessEqual(kArchitecture, 5),
                            Load(offsetof(seccomp_data, nr)), UnlessEqual(SYS_openat, 3),
                            Load(offsetof(seccomp_data, args[2])), UnlessSet(O_DIRECT, 1),
                            Return(SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
                            Return(SECCOMP_RET_ALLOW)});
}

int ErrorOf(std::string_view name) {
  if (name == "EPERM") return EPERM;
  if (name == "ENOSYS") return ENOSYS;
  return name == "EINVAL" ? EINVAL : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view rule = argc > 2 ? argv[1] : "";
  const size_t equals = rule.find('=');
  const std::string_view what = rule.substr(0, equals);
  const int error = equals == std::string_view::npos ? 0 : ErrorOf(rule.substr(equals + 1));
  if (error == 0 || (what != "io_uring" && what != "o_direct")) {
    std::fprintf(stderr, "usage: forbid io_uring=ERROR|o_direct=ERROR COMMAND...\n");
    return 2;
  }
  if (!(what == "io_uring" ? ForbidIoUring(error) : ForbidDirect(error))) {
    std::fprintf(stderr, "forbid: cannot install the filter: %s\n", std::strerror(errno));
    return 77;
  }
  execvp(argv[2], argv + 2);
  std::fprintf(stderr, "forbid: cannot run '%s': %s\n", argv[2], std::strerror(errno));
  return 127;
}
