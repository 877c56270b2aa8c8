// Help texts, from the option table.
#pragma once

#include <string>

#include "cli/option_table.h"

namespace mach::cli {

std::string ProgramHelp();                        // mach --help
std::string CommandHelp(const Command& command);  // mach COMMAND --help

// "0 to 65535", "at least 1", or "" without limits.
std::string RangeText(const Option& option);

}  // namespace mach::cli
