#include "cli/version.h"

namespace mach::cli {

const char* const kVersion = MACH_VERSION;

}  // namespace mach::cli
