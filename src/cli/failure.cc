#include "cli/failure.h"

#include <cstdio>

#include "cli/exit_codes.h"

namespace mach::cli {

int Fail(std::string_view command, const std::string& message) {
  std::fputs(("mach " + std::string(command) + ": " + message + "\n").c_str(), stderr);
  return kExitFailure;
}

}  // namespace mach::cli
