// Help texts, from the option table.
#pragma once

#include <string>

#include "cli/options/option_table.h"

namespace mach::cli {

std::string ProgramHelp();                        // mach --help
std::string CommandHelp(const Command& command);  // mach COMMAND --help

// mach help --examples: every example as "COMMAND<TAB>EXIT STATUS<TAB>HOW", for tests. HOW is
// "ends"; "serves": it prints "serving on URL", and has the status after a SIGTERM;
// "beside-server": one must listen on the default port.
std::string AllExamples();

// "0 to 65535", "at least 1", or "" without limits.
std::string RangeText(const Option& option);

}  // namespace mach::cli
