// The commands and their options: parsing, help, manual pages and completions all come from here.
#pragma once

#include <limits>
#include <span>
#include <string_view>

#include "cli/options/option_value.h"
#include "cli/options/options.h"

namespace mach::cli {

enum class OptionType : unsigned char {
  kFlag,
  kText,
  kPath,
  kInteger,
  kNumber,
  kChoice,
};

struct Option {
  std::string_view name;   // "ctx-size" for --ctx-size; of a positional, its name in the usage line
  std::string_view value;  // "TOKENS" in the help; empty for flags
  OptionType type = OptionType::kText;
  std::string_view group;               // heading in the help
  std::string_view help;                // one or two sentences
  std::string_view default_value = "";  // as it would be typed; empty: none
  std::string_view default_help = "";   // said instead of default_value
  std::string_view env = "";            // read when the option is not given; of flags: 0 or 1
  std::string_view env_alias = "";      // another name of the same variable
  std::span<const std::string_view> choices = {};
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool positional = false;
  bool required = false;
  bool repeatable = false;
  std::string_view excludes = "";  // an option that may not be given beside this one
};

// How an example runs, for whoever runs all of them.
enum class Runs : unsigned char {
  kToItsEnd,
  kUntilStopped,  // a server: prints "serving on URL", and ends after SIGTERM
  kBesideServer,  // wants one on the default port
};

// A command line for a POSIX shell that works as it stands from the root of a built source tree,
// with the program on the PATH, any number of times.
struct Example {
  std::string_view command;
  std::string_view explanation;
  Runs runs = Runs::kToItsEnd;
  int exit_status = 0;
};

struct Command {
  std::string_view name;
  std::string_view summary;
  std::string_view description;
  std::span<const Example> examples;
  std::string_view exit_status = "0 success, 1 failure, 2 wrong usage.";
  std::span<const Option> options = {};
  // From a checked value of each option, in their order; without texts where there is none.
  CommandOptions (*read)(std::span<const OptionValue> values) = nullptr;
};

std::span<const Command> Commands();
const Command* FindCommand(std::string_view name);

}  // namespace mach::cli
