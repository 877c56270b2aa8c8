#include "cli/probe/cmd_probe.h"

#include <cstdio>
#include <fstream>

#include "cli/exit_codes.h"
#include "cli/failure.h"
#include "cli/probe/probe.h"
#include "json/write.h"

namespace mach::cli {
namespace {

// The first key of a file as the server takes it.
Result<std::string> FirstKey(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream in(path);
  if (!in) return Error{Code::kIo, "API key file '" + path + "' cannot be opened"};
  for (std::string line; std::getline(in, line);) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
  }
  return Error{Code::kInvalidArgument, "API key file '" + path + "' holds no key"};
}

void PrintJson(const std::string& url, const ProbeReport& report) {
  json::Array checks;
  for (const ProbeCheck& check : report.checks) {
    checks.push_back(json::Object{{"name", check.name},
                                  {"verdict", VerdictName(check.verdict)},
                                  {"found", check.found},
                                  {"advice", check.advice.empty() ? json::Value() : check.advice}});
  }
  const json::Object body{{"url", url},
                          {"verdict", VerdictName(report.verdict())},
                          {"checks", std::move(checks)},
                          {"measured", report.measured}};
  std::puts(json::Write(body, {.indent = 2}).c_str());
}

void PrintText(const ProbeReport& report) {
  const auto row = [](ProbeVerdict verdict, const std::string& name, const std::string& found) {
    std::printf("%-4s  %-13s %s\n", std::string(VerdictName(verdict)).c_str(), name.c_str(),
                found.c_str());
  };
  std::string names;  // of the checks that are not well
  for (const ProbeCheck& check : report.checks) {
    row(check.verdict, check.name, check.found);
    if (!check.advice.empty()) std::printf("      %-13s %s\n", "", check.advice.c_str());
    if (check.verdict > ProbeVerdict::kOk) {
      names += (names.empty() ? "" : ", ") + check.name;
    }
  }
  row(report.verdict(), "verdict", names.empty() ? "nothing stands out" : names);
}

}  // namespace

int RunProbeCommand(const ProbeCommandOptions& options) {
  auto key = FirstKey(options.api_key_file);
  if (!key) return Fail("probe", key.error().message);
  const auto client = HttpClient::ForUrl(options.url, *std::move(key));
  if (!client) return Fail("probe", client.error().message);
  const auto report =
      RunProbe(*client, {.requests = options.requests, .max_tokens = options.max_tokens});
  if (!report) return Fail("probe", report.error().message);
  if (options.json) {
    PrintJson(options.url, *report);
  } else {
    PrintText(*report);
  }
  return report->verdict() == ProbeVerdict::kFailure ? kExitFailure : kExitOk;
}

}  // namespace mach::cli
