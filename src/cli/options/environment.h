// Environment variables beyond those that options read: what is not known, and what cannot be met.
#pragma once

#include <string>
#include <vector>

#include "cli/options/command_line.h"

namespace mach::cli {

// Whether a command has an option that an LME_* variable sets.
bool ReadsEnvironment(const Command& command);

// A warning for each LME_* variable of `environment` ("NAME=value", ended by a null pointer) that
// no command knows, with the nearest name that one does. Sorted.
std::vector<std::string> UnknownVariables(const char* const* environment);

// Variables that ask for what there is not. Empty: the command can run; else why not.
std::string RefusedVariable(const Command& command, const GetEnv& get_env);

// "NAME=value" of those that were looked at and ask for nothing.
std::vector<std::string> IdleVariables(const Command& command, const GetEnv& get_env);

}  // namespace mach::cli
