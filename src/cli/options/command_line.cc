#include "cli/options/command_line.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/nearest.h"
#include "cli/options/environment.h"
#include "cli/options/foreign_names.h"
#include "cli/options/help.h"
#include "cli/options/manual.h"

namespace mach::cli {
namespace {

std::string Spelled(const Option& option) {
  return option.positional ? "<" + std::string(option.name) + ">" : "--" + std::string(option.name);
}

Answer UsageErrors(std::string_view command, const std::vector<std::string>& messages) {
  const std::string program = "mach" + (command.empty() ? "" : " " + std::string(command));
  Answer answer;
  answer.exit_code = kExitUsage;
  for (const std::string& message : messages) answer.err += program + ": " + message + "\n";
  answer.err += "Try '" + program + " --help'.\n";
  return answer;
}

Answer UsageError(std::string_view command, const std::string& message) {
  return UsageErrors(command, {message});
}

std::string Did(std::string_view nearest, std::string_view prefix) {
  if (nearest.empty()) return "";
  return "; did you mean '" + std::string(prefix) + std::string(nearest) + "'?";
}

// Why the text is no value of the option; empty when it is one.
std::string WhyWrong(const Option& option, const std::string& text) {
  switch (option.type) {
    case OptionType::kFlag:
      return text == "1" ? "" : "is '" + EscapeForLog(text, false) + "', expected 0 or 1";
    case OptionType::kText:
      return "";
    case OptionType::kPath:
      return text.empty() ? "is empty, expected a path" : "";
    case OptionType::kChoice: {
      std::string known;
      for (const std::string_view choice : option.choices) {
        if (text == choice) return "";
        known += (known.empty() ? "" : ", ") + std::string(choice);
      }
      return "is '" + EscapeForLog(text, false) + "', expected one of " + known;
    }
    case OptionType::kInteger:
    case OptionType::kNumber: {
      const bool integer = option.type == OptionType::kInteger;
      // All integers of 64 bits are exact in it.
      std::optional<long double> value;
      if (!integer) {
        value = ToNumber(text);
      } else if (const auto exact = ToInteger(text)) {
        value = static_cast<long double>(*exact);
      }
      if (!value) {
        return "is '" + EscapeForLog(text, false) + "', expected " +
               (integer ? "an integer" : "a number");
      }
      if (*value < option.minimum || *value > option.maximum) {
        return "is " + text + ", expected " + RangeText(option);
      }
      return "";
    }
  }
  return "";
}

}  // namespace

// Of 'mach bench' without a command.
Answer BenchHelp(const std::vector<std::string>& rest) {
  std::string text = "Usage: mach bench COMMAND [options]\n\nCommands:\n";
  for (const Command& command : Commands()) {
    if (!command.name.starts_with("bench-")) continue;
    text += "  " + std::string(command.name.substr(6)) + ": " + std::string(command.summary) + "\n";
  }
  const bool asked = !rest.empty() && (rest.front() == "--help" || rest.front() == "-h");
  return asked ? Answer{kExitOk, text, ""} : Answer{kExitUsage, "", text};
}

// Reads the arguments of one command. values_[i] is of command_.options[i]; until the defaults come
// in, at the end, it has texts only where the command line or the environment gave some.
class Parser {
 public:
  Parser(const Command& command, const GetEnv& get_env)
      : command_(command),
        get_env_(get_env),
        values_(command.options.size()),
        off_(command.options.size()) {
    for (size_t i = 0; i < values_.size(); ++i) values_[i].name = command.options[i].name;
  }

  std::variant<Invocation, Answer> Parse(std::vector<std::string> args) {
    if (auto answer = ReadArguments(std::move(args))) return *std::move(answer);
    if (auto answer = ReadEnvironment()) return *std::move(answer);
    if (auto answer = Check()) return *std::move(answer);
    for (size_t i = 0; i < values_.size(); ++i) {
      const std::string_view usual = command_.options[i].default_value;
      if (values_[i].texts.empty() && !usual.empty()) values_[i].texts.emplace_back(usual);
    }
    return Invocation{&command_, command_.read(values_), std::move(environment_)};
  }

 private:
  bool IsGiven(std::string_view name) const {
    return std::ranges::any_of(
        values_, [&](const OptionValue& v) { return v.name == name && !v.texts.empty(); });
  }

  // "--flag=0" and "--flag=1".
  std::optional<Answer> ReadFlagValues(const std::vector<std::string>& args) {
    for (const std::string& argument : args) {
      if (argument == "--") break;
      const size_t equals = argument.find('=');
      if (!argument.starts_with("--") || equals == std::string::npos) continue;
      const std::string name = argument.substr(2, equals - 2);
      const std::string value = argument.substr(equals + 1);
      for (size_t i = 0; i < values_.size(); ++i) {
        const Option& option = command_.options[i];
        if (option.type != OptionType::kFlag || option.name != name) continue;
        if (value == "0") {
          off_[i] = true;
        } else if (const std::string why = WhyWrong(option, value); !why.empty()) {
          return UsageError(command_.name, Spelled(option) + " " + why);
        }
      }
    }
    return std::nullopt;
  }

  std::optional<Answer> ReadArguments(std::vector<std::string> args) {
    if (auto answer = ReadFlagValues(args)) return answer;
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    struct Slot {
      std::vector<std::string> texts;
      bool flag = false;
    };
    std::vector<Slot> slots(command_.options.size());
    for (size_t i = 0; i < slots.size(); ++i) {
      const Option& option = command_.options[i];
      const std::string name(option.name);
      if (option.type == OptionType::kFlag) {
        app.add_flag("--" + name, slots[i].flag)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
        continue;
      }
      CLI::Option* added = app.add_option(option.positional ? name : "--" + name, slots[i].texts);
      added->expected(1)->type_size(1);
      // Repetition is ours to judge.
      added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
    }
    std::reverse(args.begin(), args.end());  // as CLI11 takes them
    try {
      app.parse(args);
    } catch (const CLI::ParseError& error) {
      return UsageError(command_.name, error.what());
    }
    if (const auto extras = app.remaining(); !extras.empty()) return Unknown(extras);
    for (size_t i = 0; i < slots.size(); ++i) {
      const Option& option = command_.options[i];
      if (slots[i].texts.size() > 1 && !option.repeatable) {
        return UsageError(command_.name, Spelled(option) + " is given " +
                                             std::to_string(slots[i].texts.size()) +
                                             " times, expected once");
      }
      if (slots[i].flag) slots[i].texts = {"1"};
      values_[i].texts = std::move(slots[i].texts);
    }
    return std::nullopt;
  }

  // Of what no option took. Values of unknown options are among them.
  Answer Unknown(const std::vector<std::string>& arguments) const {
    constexpr size_t kMostNamed = 8;
    std::vector<std::string> messages;
    for (const std::string& argument : arguments) {
      const bool option = argument.starts_with('-') && !ToNumber(argument);
      if (option && messages.size() < kMostNamed) messages.push_back(UnknownOption(argument));
    }
    if (!messages.empty()) return UsageErrors(command_.name, messages);
    const std::string meant = ArgumentMeant(command_, arguments.front());
    return UsageError(command_.name, "unexpected argument '" +
                                         EscapeForLog(arguments.front(), false) + "'" +
                                         (meant.empty() ? "" : "; " + meant));
  }

  std::string UnknownOption(const std::string& argument) const {
    const std::string name = argument.substr(0, argument.find('='));
    const std::string unknown = "unknown option '" + EscapeForLog(argument, false) + "'";
    if (const std::string meant = OptionMeant(command_, name); !meant.empty()) {
      return unknown + "; " + meant;
    }
    std::vector<std::string_view> names;
    for (const Option& option : command_.options) {
      if (!option.positional) names.push_back(option.name);
    }
    const std::string typed = name.substr(std::min(name.find_first_not_of('-'), name.size()));
    return unknown + Did(Nearest(typed, names), "--");
  }

  std::optional<Answer> ReadEnvironment() {
    for (size_t i = 0; i < values_.size(); ++i) {
      const Option& option = command_.options[i];
      // What is given wins; a flag wins over what it excludes, too.
      std::string winner;
      if (!values_[i].texts.empty() || off_[i]) winner = Spelled(option);
      if (!option.excludes.empty() && IsGiven(option.excludes)) {
        winner = "--" + std::string(option.excludes);
      }
      std::string first, first_value;  // of the two names of one variable
      for (const std::string_view variable : {option.env, option.env_alias}) {
        const std::string name(variable);
        const char* value = name.empty() ? nullptr : get_env_(name.c_str());
        if (value == nullptr || *value == '\0') continue;
        environment_.push_back(name + "=" + value +
                               (winner.empty() ? "" : " (not used: " + winner + " wins)"));
        if (!winner.empty()) continue;
        if (!first.empty()) {
          if (first_value == value) continue;
          return UsageError(command_.name,
                            first + " is '" + EscapeForLog(first_value, false) + "' and " + name +
                                " is '" + EscapeForLog(value, false) +
                                "', which are two names of " + Spelled(option) + "; set one");
        }
        first = name;
        first_value = value;
        if (option.type == OptionType::kFlag && first_value == "0") continue;
        values_[i].texts = {value};
        values_[i].variable = name;
      }
    }
    return std::nullopt;
  }

  std::optional<Answer> Check() const {
    for (size_t i = 0; i < values_.size(); ++i) {
      const Option& option = command_.options[i];
      const OptionValue& value = values_[i];
      if (value.texts.empty()) {
        if (!option.required) continue;
        return UsageError(
            command_.name,
            Spelled(option) + " is missing" +
                (option.env.empty() ? "" : "; give it or set " + std::string(option.env)) +
                (option.name == "checkpoint" ? " ('mach models' lists what is in 'models')" : ""));
      }
      for (const std::string& text : value.texts) {
        const std::string why = WhyWrong(option, text);
        if (why.empty()) continue;
        const std::string& source = value.variable;
        return UsageError(command_.name, (source.empty() ? Spelled(option) : source) + " " + why);
      }
      if (!option.excludes.empty() && IsGiven(option.excludes)) {
        return UsageError(command_.name, Spelled(option) + " and --" +
                                             std::string(option.excludes) +
                                             " exclude each other; give one of them");
      }
    }
    return std::nullopt;
  }

  const Command& command_;
  const GetEnv& get_env_;
  std::vector<OptionValue> values_;
  std::vector<bool> off_;  // flags given as 0
  std::vector<std::string> environment_;
};

// For commands that say which command line would do.
void KeepWords(const std::vector<std::string>& words, CommandOptions& options) {
  std::visit(
      [&](auto& of_command) {
        if constexpr (requires { of_command.model.words; }) of_command.model.words = words;
      },
      options);
}

std::variant<Invocation, Answer> ParseCommandLine(const std::vector<std::string>& args,
                                                  const GetEnv& get_env, std::string_view version) {
  std::string program = args.empty() ? "mach" : args.front();
  program = program.substr(program.find_last_of('/') + 1);
  std::vector<std::string> rest(args.empty() ? args.end() : args.begin() + 1, args.end());
  const auto print = [](std::string text) { return Answer{kExitOk, std::move(text), ""}; };

  std::string name;
  if (program.starts_with("mach-")) {
    name = program.substr(5);
  } else {
    if (rest.empty()) return Answer{kExitUsage, "", ProgramHelp()};
    name = rest.front();
    rest.erase(rest.begin());
    if (name == "--version" || name == "version" || name == "-v" || name == "-V") {
      return print("mach " + std::string(version) + "\n");
    }
    if (name == "--help" || name == "-h") return print(ProgramHelp());
    // For packaging: written to files by `make install`.
    if (name == "man") {
      const Command* of = rest.empty() ? nullptr : FindCommand(rest.front());
      if (!rest.empty() && of == nullptr) return UsageError("man", "there is no such command");
      return print(ManPage(of, version));
    }
    if (name == "completion") {
      if (rest == std::vector<std::string>{"bash"}) return print(BashCompletion());
      if (rest == std::vector<std::string>{"zsh"}) return print(ZshCompletion());
      return UsageError("completion", "expected bash or zsh");
    }
    if (name == "help") {
      if (rest.empty()) return print(ProgramHelp());
      if (rest.front() == "--examples") return print(AllExamples());
      name = rest.front();
      if (name == "bench" && rest.size() > 1) name += "-" + rest[1];
      rest = {"--help"};
    }
    // A family of commands: 'mach bench disk' is 'mach bench-disk'.
    if (name == "bench") {
      if (rest.empty() || rest.front().starts_with('-')) return BenchHelp(rest);
      name += "-" + rest.front();
      rest.erase(rest.begin());
    }
  }
  const Command* command = FindCommand(name);
  if (command == nullptr) {
    if (name.starts_with('-')) {
      return UsageError("", "unknown option '" + EscapeForLog(name, false) + "'; " +
                                LeadingOptionMeant(name.substr(0, name.find('=')), rest));
    }
    if (const std::string meant = CommandMeant(name, rest); !meant.empty()) {
      return UsageError(
          "", "unknown command '" + EscapeForLog(name, false) + "'; " + EscapeForLog(meant, false));
    }
    std::vector<std::string_view> names;
    for (const Command& known : Commands()) names.push_back(known.name);
    return UsageError("", "unknown command '" + EscapeForLog(name, false) + "'" +
                              Did(Nearest(name, names), "mach "));
  }
  for (const std::string& argument : rest) {
    if (argument == "--") break;
    if (argument == "--help" || argument == "-h") return print(CommandHelp(*command));
    if (argument == "--version") return print("mach " + std::string(version) + "\n");
  }
  if (const std::string why = RefusedVariable(*command, get_env); !why.empty()) {
    return UsageError(command->name, why);
  }
  auto parsed = Parser(*command, get_env).Parse(std::move(rest));
  if (auto* invocation = std::get_if<Invocation>(&parsed)) {
    KeepWords(args, invocation->options);
  }
  return parsed;
}

}  // namespace mach::cli
