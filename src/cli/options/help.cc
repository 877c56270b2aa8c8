#include "cli/options/help.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace mach::cli {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kHelpColumn = 30;

// A limit; of integers all digits.
std::string Limit(const Option& option, double value) {
  char text[64];
  std::snprintf(text, sizeof text, option.type == OptionType::kInteger ? "%.0f" : "%.15g", value);
  return text;
}

// Words of the text in lines that begin at the column.
std::string Wrapped(std::string_view text, size_t column) {
  std::string out;
  size_t at = column;
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find(' ', i), text.size());
    const std::string_view word = text.substr(i, end - i);
    if (at > column && at + 1 + word.size() > kWidth) {
      out += "\n" + std::string(column, ' ');
      at = column;
    } else if (at > column) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
    i = end + 1;
  }
  return out;
}

std::string Row(const std::string& left, std::string_view right) {
  std::string out = "  " + left;
  if (out.size() + 2 > kHelpColumn) {
    out += "\n" + std::string(kHelpColumn, ' ');
  } else {
    out.resize(kHelpColumn, ' ');
  }
  return out + Wrapped(right, kHelpColumn) + "\n";
}

std::string OptionHelp(const Option& option) {
  std::string help(option.help);
  if (!option.choices.empty()) {
    std::string choices;
    for (const std::string_view choice : option.choices) {
      choices += (choices.empty() ? "" : ", ") + std::string(choice);
    }
    help += " One of " + choices + ".";
  }
  std::string notes;
  const auto note = [&notes](const std::string& text) {
    notes += (notes.empty() ? "" : "; ") + text;
  };
  if (const std::string range = RangeText(option); !range.empty()) note(range);
  if (!option.default_help.empty()) {
    note("default: " + std::string(option.default_help));
  } else if (!option.default_value.empty()) {
    note("default: " + std::string(option.default_value));
  }
  if (!option.env.empty()) note("environment: " + std::string(option.env));
  if (!option.env_alias.empty()) note("or: " + std::string(option.env_alias));
  return notes.empty() ? help : help + " (" + notes + ")";
}

// The command in one line, so that it can be copied.
std::string ExampleHelp(const Example& example) {
  return "  " + std::string(example.command) + "\n      " + Wrapped(example.explanation, 6) + "\n";
}

std::string OptionName(const Option& option) {
  if (option.positional) return "<" + std::string(option.name) + ">";
  std::string name = "--" + std::string(option.name);
  if (!option.value.empty()) name += " " + std::string(option.value);
  return name;
}

}  // namespace

std::string RangeText(const Option& option) {
  const bool low = std::isfinite(option.minimum);
  const bool high = std::isfinite(option.maximum);
  if (low && high) return Limit(option, option.minimum) + " to " + Limit(option, option.maximum);
  if (low) return "at least " + Limit(option, option.minimum);
  return high ? "at most " + Limit(option, option.maximum) : "";
}

std::string ProgramHelp() {
  std::string out =
      "Usage: mach COMMAND [options]\n\nRuns Mixture-of-Experts language models that are bigger "
      "than memory.\n\nCommands:\n";
  for (const Command& command : Commands()) {
    out += Row(std::string(command.name), command.summary);
  }
  out += "\n" + Row("mach help COMMAND", "Everything about a command.");
  out += Row("mach man [COMMAND]", "A manual page, for man -l -.");
  out += Row("mach completion SHELL", "A completion script for bash or zsh.");
  out += Row("mach --version", "The version.");
  out += Row("mach help --examples", "Every example: command, exit status, how it runs.");
  out += "\nA link named mach-COMMAND to the program is that command.\n\nExamples:\n";
  for (const Command& command : Commands()) {
    if (command.name == "serve" || command.name == "generate" || command.name == "check") {
      out += ExampleHelp(command.examples.front());
    }
  }
  return out;
}

std::string AllExamples() {
  constexpr std::string_view kHow[] = {"ends", "serves", "beside-server"};
  std::string out;
  for (const Command& command : Commands()) {
    for (const Example& example : command.examples) {
      out += std::string(example.command) + "\t" + std::to_string(example.exit_status) + "\t" +
             std::string(kHow[static_cast<size_t>(example.runs)]) + "\n";
    }
  }
  return out;
}

std::string CommandHelp(const Command& command) {
  std::string out = "Usage: mach " + std::string(command.name) + " [options]";
  std::vector<std::string_view> groups;
  for (const Option& option : command.options) {
    if (option.positional) {
      out += option.required ? " <" + std::string(option.name) + ">"
                             : " [" + std::string(option.name) + "]";
    }
    bool known = false;
    for (const std::string_view group : groups) known |= group == option.group;
    if (!known) groups.push_back(option.group);
  }
  out += "\n\n" + std::string(command.description) + "\n";
  for (const std::string_view group : groups) {
    out += "\n" + std::string(group) + ":\n";
    for (const Option& option : command.options) {
      if (option.group == group) out += Row(OptionName(option), OptionHelp(option));
    }
  }
  out += "\nOther:\n" + Row("--help", "This text.") + Row("--version", "The version.");
  if (!command.examples.empty()) out += "\nExamples:\n";
  for (const Example& example : command.examples) out += ExampleHelp(example);
  out += "\nExit status:\n  " + Wrapped(command.exit_status, 2) + "\n";
  return out;
}

}  // namespace mach::cli
