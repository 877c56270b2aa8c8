// Manual pages and shell completions, from the option table.
#pragma once

#include <string>

#include "cli/options/option_table.h"

namespace mach::cli {

// roff; section 1. Without a command: of the program.
std::string ManPage(const Command* command, std::string_view version);

// Scripts that complete commands, options and the values of choices.
std::string BashCompletion();
std::string ZshCompletion();

}  // namespace mach::cli
