#include "cli/options/environment.h"

#include <algorithm>
#include <string_view>

#include "base/log.h"
#include "base/nearest.h"

namespace mach::cli {
namespace {

constexpr std::string_view kPrefix = "LME_";
constexpr std::string_view kBatching = "LME_CONTINUOUS_BATCHING";
constexpr std::string_view kMostBatched = "LME_CONTINUOUS_BATCHING_MAX_B";

std::vector<std::string_view> KnownVariables() {
  std::vector<std::string_view> known = {kBatching, kMostBatched};
  for (const Command& command : Commands()) {
    for (const Option& option : command.options) {
      for (const std::string_view name : {option.env, option.env_alias}) {
        if (name.starts_with(kPrefix)) known.push_back(name);
      }
    }
  }
  return known;
}

// Empty: not set, which an empty value is too.
std::string ValueOf(std::string_view name, const GetEnv& get_env) {
  const char* value = get_env(std::string(name).c_str());
  return value == nullptr ? "" : value;
}

}  // namespace

bool ReadsEnvironment(const Command& command) {
  return std::ranges::any_of(command.options,
                             [](const Option& o) { return o.env.starts_with(kPrefix); });
}

std::vector<std::string> UnknownVariables(const char* const* environment) {
  const std::vector<std::string_view> known = KnownVariables();
  std::vector<std::string> warnings;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with(kPrefix) || std::ranges::find(known, name) != known.end()) continue;
    const std::string_view nearest = Nearest(name, known);
    warnings.push_back("the environment variable " + EscapeForLog(name, false) +
                       " is not known and has no effect" +
                       (nearest.empty() ? std::string("; 'mach serve --help' names those that have")
                                        : "; did you mean " + std::string(nearest) + "?"));
  }
  std::ranges::sort(warnings);
  return warnings;
}

std::string RefusedVariable(const Command& command, const GetEnv& get_env) {
  if (command.name != "serve") return "";
  const std::string wanted = ValueOf(kBatching, get_env);
  const std::string most = ValueOf(kMostBatched, get_env);
  const std::string why =
      ", but requests are not batched yet: they run one after the other, and the others wait in a "
      "queue (--max-queue); unset it";
  if (wanted == "1") return std::string(kBatching) + " is 1" + why + " or set it to 0";
  if (!wanted.empty() && wanted != "0") {
    return std::string(kBatching) + " is '" + EscapeForLog(wanted, false) + "', expected 0 or 1";
  }
  if (!most.empty() && most != "0") {
    return std::string(kMostBatched) + " is '" + EscapeForLog(most, false) + "'" + why;
  }
  return "";
}

std::vector<std::string> IdleVariables(const Command& command, const GetEnv& get_env) {
  std::vector<std::string> lines;
  if (command.name != "serve") return lines;
  for (const std::string_view name : {kBatching, kMostBatched}) {
    const std::string value = ValueOf(name, get_env);
    if (!value.empty()) lines.push_back(std::string(name) + "=" + value);
  }
  return lines;
}

}  // namespace mach::cli
