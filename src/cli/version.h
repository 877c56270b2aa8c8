// The program's version, as CMake's project() has it.
#pragma once

namespace mach::cli {

extern const char* const kVersion;

}  // namespace mach::cli
