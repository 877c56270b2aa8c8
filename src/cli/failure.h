// How a command that failed says so.
#pragma once

#include <string>
#include <string_view>

namespace mach::cli {

// Writes "mach COMMAND: message" to standard error; returns kExitFailure.
int Fail(std::string_view command, const std::string& message);

}  // namespace mach::cli
