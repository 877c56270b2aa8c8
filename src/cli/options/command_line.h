// From argv and the environment to checked values. The only reader of either.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/options/option_table.h"

namespace mach::cli {

// The options of one invocation. Every value has its option's type and range.
class Values {
 public:
  // REQUIRES: an option of the command, of that type.
  bool Flag(std::string_view name) const { return IsGiven(name); }
  std::string Text(std::string_view name) const;  // empty when not given and without a default
  int64_t Integer(std::string_view name) const;
  double Number(std::string_view name) const;
  std::vector<std::string> List(std::string_view name) const;
  std::optional<double> MaybeNumber(std::string_view name) const;
  std::optional<int64_t> MaybeInteger(std::string_view name) const;

  // On the command line or in the environment.
  bool IsGiven(std::string_view name) const;

  // The environment variable that an option's value comes from; empty: none.
  std::string Source(std::string_view name) const;

  // The whole command line as it was typed, the program first.
  const std::vector<std::string>& words() const { return words_; }

  // "NAME=value" of the command's environment variables that are set, for the log, with a note
  // where an option wins over one.
  const std::vector<std::string>& environment() const { return environment_; }

 private:
  friend class Parser;
  std::map<std::string, std::vector<std::string>, std::less<>> given_;
  std::map<std::string, std::string, std::less<>> defaults_;
  std::map<std::string, std::string, std::less<>> sources_;
  std::vector<std::string> environment_;
  std::vector<std::string> words_;
};

struct Invocation {
  const Command* command = nullptr;
  Values values;
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
