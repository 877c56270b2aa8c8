#include "cli/options/manual.h"

#include <vector>

#include "cli/options/help.h"

namespace mach::cli {
namespace {

// Text for roff: hyphens that are hyphens, and no line that begins with a control character.
std::string Roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string Joined(std::span<const std::string_view> words, std::string_view separator) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

std::string OptionEntry(const Option& option) {
  std::string out = ".TP\n";
  if (option.positional) {
    out += "\\fI" + Roff(option.name) + "\\fR\n";
  } else {
    out += "\\fB\\-\\-" + Roff(option.name) + "\\fR";
    if (!option.value.empty()) out += " \\fI" + Roff(option.value) + "\\fR";
    out += '\n';
  }
  out += Roff(option.help) + "\n";
  if (const std::string range = RangeText(option); !range.empty())
    out += "Range: " + Roff(range) + ".\n";
  if (!option.choices.empty()) out += "One of " + Roff(Joined(option.choices, ", ")) + ".\n";
  if (!option.default_help.empty()) {
    out += "Default: " + Roff(option.default_help) + ".\n";
  } else if (!option.default_value.empty()) {
    out += "Default: " + Roff(option.default_value) + ".\n";
  }
  if (!option.env.empty()) {
    out += "Environment: \\fB" + Roff(option.env) + "\\fR";
    if (!option.env_alias.empty()) out += " or \\fB" + Roff(option.env_alias) + "\\fR";
    out += ".\n";
  }
  return out;
}

std::string ExampleEntry(const Example& example) {
  return ".TP\n\\fB" + Roff(example.command) + "\\fR\n" + Roff(example.explanation) + "\n";
}

std::string CommandPage(const Command& command) {
  std::string out = ".SH NAME\nmach\\-" + Roff(command.name) + " \\- " + Roff(command.summary) +
                    "\n.SH SYNOPSIS\n\\fBmach " + Roff(command.name) + "\\fR [\\fIoptions\\fR]";
  for (const Option& option : command.options) {
    if (option.positional) out += " \\fI" + Roff(option.name) + "\\fR";
  }
  out += "\n.SH DESCRIPTION\n" + Roff(command.description) + "\n.SH OPTIONS\n";
  std::vector<std::string_view> groups;
  for (const Option& option : command.options) {
    bool known = false;
    for (const std::string_view group : groups) known |= group == option.group;
    if (!known) groups.push_back(option.group);
  }
  for (const std::string_view group : groups) {
    out += ".SS " + Roff(group) + "\n";
    for (const Option& option : command.options) {
      if (option.group == group) out += OptionEntry(option);
    }
  }
  if (!command.examples.empty()) out += ".SH EXAMPLES\n";
  for (const Example& example : command.examples) out += ExampleEntry(example);
  return out + ".SH EXIT STATUS\n" + Roff(command.exit_status) + "\n";
}

std::string ProgramPage() {
  std::string out =
      ".SH NAME\nmach \\- run Mixture\\-of\\-Experts language models that are bigger than "
      "memory\n.SH SYNOPSIS\n\\fBmach\\fR \\fIcommand\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n";
  for (const Command& command : Commands()) {
    out += ".TP\n\\fBmach\\-" + Roff(command.name) + "\\fR(1)\n" + Roff(command.summary) + "\n";
  }
  out += ".PP\nA link named mach\\-\\fIcommand\\fR to the program is that command.\n.SH EXAMPLES\n";
  for (const Command& command : Commands()) {
    const bool first_use =
        command.name == "serve" || command.name == "generate" || command.name == "check";
    if (first_use) out += ExampleEntry(command.examples.front());
  }
  return out;
}

std::string CommandNames() {
  std::string names;
  for (const Command& command : Commands()) {
    if (!names.empty()) names += ' ';
    names += command.name;
  }
  return names;
}

}  // namespace

std::string ManPage(const Command* command, std::string_view version) {
  const std::string title = command == nullptr ? "MACH" : "MACH\\-" + Upper(Roff(command->name));
  return ".TH " + title + " 1 \"\" \"mach " + Roff(version) + "\" \"User Commands\"\n" +
         (command == nullptr ? ProgramPage() : CommandPage(*command));
}

std::string BashCompletion() {
  std::string out =
      "# Completion of mach and its links for bash.\n"
      "_mach() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local program=${COMP_WORDS[0]##*/} command\n"
      "  case $program in\n"
      "    mach-*) command=${program#mach-} ;;\n"
      "    *)\n"
      "      if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "        COMPREPLY=($(compgen -W '" +
      CommandNames() +
      " help --help --version' -- \"$cur\"))\n"
      "        return\n"
      "      fi\n"
      "      command=${COMP_WORDS[1]} ;;\n"
      "  esac\n"
      "  case \"$command $prev\" in\n";
  for (const Command& command : Commands()) {
    for (const Option& option : command.options) {
      const std::string key =
          "    '" + std::string(command.name) + " --" + std::string(option.name) + "') ";
      if (option.positional || option.type == OptionType::kFlag) continue;
      if (!option.choices.empty()) {
        out += key + "COMPREPLY=($(compgen -W '" + Joined(option.choices, " ") +
               "' -- \"$cur\")); return ;;\n";
      } else if (option.type != OptionType::kPath) {
        out += key + "return ;;\n";
      } else {
        out += key + "COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n";
      }
    }
  }
  out += "  esac\n  case $command in\n";
  for (const Command& command : Commands()) {
    out += "    " + std::string(command.name) + ") COMPREPLY=($(compgen -f -W '";
    for (const Option& option : command.options) {
      if (!option.positional) out += "--" + std::string(option.name) + " ";
    }
    out += "--help --version' -- \"$cur\")) ;;\n";
  }
  out += "  esac\n}\ncomplete -o filenames -F _mach mach";
  for (const Command& command : Commands()) out += " mach-" + std::string(command.name);
  return out + "\n";
}

std::string ZshCompletion() {
  const auto quoted = [](std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '\'') {
        out += "'\\''";
      } else if (c == '[' || c == ']' || c == ':') {
        out += '\\';
        out += c;
      } else {
        out += c;
      }
    }
    return out;
  };
  std::string out = "#compdef mach";
  for (const Command& command : Commands()) out += " mach-" + std::string(command.name);
  out +=
      "\n# Completion of mach and its links for zsh.\nlocal command=${service#mach-}\n"
      "if [[ $service == mach ]]; then\n"
      "  if (( CURRENT == 2 )); then\n    _values command";
  for (const Command& command : Commands()) {
    out += " '" + std::string(command.name) + "[" + quoted(command.summary) + "]'";
  }
  out +=
      "\n    return\n  fi\n  command=$words[2]\n  shift words\n  (( CURRENT-- ))\nfi\n"
      "case $command in\n";
  for (const Command& command : Commands()) {
    out += "  " + std::string(command.name) + ") _arguments";
    for (const Option& option : command.options) {
      if (option.positional) {
        out += " '*:" + quoted(option.name) + ":_files'";
        continue;
      }
      out += " '--" + std::string(option.name) + "[" + quoted(option.help) + "]";
      if (!option.choices.empty()) {
        out += ":value:(" + Joined(option.choices, " ") + ")";
      } else if (option.type != OptionType::kFlag) {
        out += option.type == OptionType::kPath ? ":path:_files" : ":value: ";
      }
      out += "'";
    }
    out += " ;;\n";
  }
  return out + "esac\n";
}

}  // namespace mach::cli
