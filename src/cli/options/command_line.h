// From argv and the environment to typed options. The only reader of either.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/options/option_table.h"

namespace mach::cli {

struct Invocation {
  const Command* command = nullptr;
  CommandOptions options;  // of that command
  // "NAME=value" of the command's environment variables that are set, for the log, with a note
  // where an option wins over one.
  std::vector<std::string> environment;
};

// Something to print instead of running: help, version or a usage error.
struct Answer {
  int exit_code = kExitOk;
  std::string out;  // for standard output
  std::string err;  // for standard error
};

using GetEnv = std::function<const char*(const char* name)>;

// args[0] is the program: "mach" takes the command from args[1], "mach-NAME" is the command NAME.
std::variant<Invocation, Answer> ParseCommandLine(const std::vector<std::string>& args,
                                                  const GetEnv& get_env, std::string_view version);

}  // namespace mach::cli
