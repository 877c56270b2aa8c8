#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace mach {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\nThis is a bug in Mach; please report it.\n", file,
               line, condition);
  std::abort();
}

}  // namespace mach
