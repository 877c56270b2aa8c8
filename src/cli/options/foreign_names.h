// What people type who come from llama.cpp, vLLM or Ollama, and what it is here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/options/option_table.h"

namespace mach::cli {

// An option of another program.
struct ForeignOption {
  std::string_view theirs;  // "-ngl", "--max-model-len"
  std::string_view ours;    // "ctx-size"; empty: there is none
  std::string_view says;    // what to do or to know; may be empty where `ours` is not
};
std::span<const ForeignOption> ForeignOptions();

// A command of another program. MODEL in the text stands for what was typed after it.
struct ForeignCommand {
  std::string_view theirs;
  std::string_view says;
};
std::span<const ForeignCommand> ForeignCommands();

// What is meant by an option that the command does not have ("-c", "--max-model-len"; without a
// value): "it is --ctx-size here". Empty when nothing is known.
std::string OptionMeant(const Command& command, std::string_view typed);

// What is meant by a command that there is not, with the arguments after it. Empty as above.
std::string CommandMeant(std::string_view typed, std::span<const std::string> arguments);

// What is meant by an option in the command's place; never empty.
std::string LeadingOptionMeant(std::string_view typed, std::span<const std::string> arguments);

// What is meant by an argument too many; empty as above.
std::string ArgumentMeant(const Command& command, const std::string& typed);

}  // namespace mach::cli
