// Renders generated conversations with Mach and with Jinja2, which must agree: the same text, the
// same refusal, or an error on both sides. Ends with 77 where Jinja2 is missing.
//
//   differential_test [SEED [COUNT]]
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <sys/wait.h>

#include "base/result.h"
#include "conversation_generator.h"
#include "jinja/template.h"
#include "json/parse.h"
#include "json/value.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

constexpr int kSkipped = 77;
constexpr int64_t kNow = 1770091506;  // 2026-02-03 04:05:06, as in render_reference.py

const std::string kSource = MACH_SOURCE_DIR;
const std::string kTemplates[] = {
    kSource + "/models/mach-tiny/chat_template.jinja",
    kSource + "/tests/templates/families/json_tools.jinja",
    kSource + "/tests/templates/families/xml_tools.jinja",
    kSource + "/tests/templates/families/channels.jinja",
    kSource + "/tests/templates/families/turns.jinja",
    kSource + "/tests/templates/families/sections.jinja",
};

Result<Template> Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Code::kNotFound, path + ": can not be read"};
  std::ostringstream text;
  text << file.rdbuf();
  Result<Template> parsed = Template::Parse(text.str());
  if (!parsed) return std::move(parsed).error().In(path);
  return parsed;
}

// What differs, or nothing. Counts how both ended.
std::string Compare(const Result<Rendered>& ours, const json::Value& theirs,
                    std::map<std::string, size_t>& ends) {
  const json::Value* output = theirs.Find("output");
  if (output != nullptr) {
    if (!ours) return "error: " + ours.error().message + "\nexpected: " + output->AsString();
    if (ours->text != output->AsString()) {
      return "got: " + ours->text + "\nexpected: " + output->AsString();
    }
    ++ends["texts"];
    return "";
  }
  const std::string& error = theirs.Find("error")->AsString();
  const std::string& type = theirs.Find("error_type")->AsString();
  if (ours) return "got: " + ours->text + "\nexpected: " + type + ": " + error;
  const bool refused = ours.error().code == Code::kInvalidArgument;
  if (refused != (type == "raise_exception") || (refused && ours.error().message != error)) {
    return "error: " + ours.error().message + "\nexpected: " + type + ": " + error;
  }
  ++ends[refused ? "refusals" : "errors"];
  return "";
}

Result<int> Run(uint64_t seed, uint64_t count) {
  const std::string cases = std::string(MACH_BINARY_DIR) + "/differential_cases.jsonl";
  const std::string results = std::string(MACH_BINARY_DIR) + "/differential_results.jsonl";
  std::vector<Template> templates;
  for (const std::string& path : kTemplates) {
    MACH_TRY(Template loaded, Load(path));
    templates.push_back(std::move(loaded));
  }
  {
    std::ofstream out(cases, std::ios::binary);
    for (uint64_t i = 0; i < count; ++i) {
      const json::Object variables = ConversationGenerator(seed, i).Variables();
      for (const std::string& path : kTemplates) {
        out << json::Write(json::Object{{"template", path}, {"variables", variables}}) << "\n";
      }
    }
    if (!out.flush()) return Error{Code::kIo, cases + ": can not be written"};
  }
  const std::string command = std::string(JINJA_PYTHON) + " '" + kSource +
                              "/tests/templates/render_reference.py' batch < '" + cases + "' > '" +
                              results + "'";
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) {
    std::cout << "skipped: python3-jinja2 is not installed\n";
    return kSkipped;
  }
  if (status != 0) return Error{Code::kIo, "the reference failed: " + command};
  std::ifstream in(results, std::ios::binary);
  std::map<std::string, size_t> ends;
  size_t different = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const json::Object variables = ConversationGenerator(seed, i).Variables();
    for (size_t t = 0; t < templates.size(); ++t) {
      std::string line;
      std::getline(in, line);
      MACH_TRY(const json::Value theirs, json::Parse(line));
      const Result<Rendered> ours = templates[t].Render(variables, {.now_unix_seconds = kNow});
      const std::string difference = Compare(ours, theirs, ends);
      if (difference.empty()) continue;
      if (++different <= 5) {
        std::cout << kTemplates[t] << ", conversation " << i << "\n"
                  << json::Write(variables) << "\n"
                  << difference << "\n\n";
      }
    }
  }
  for (const auto& [end, number] : ends) std::cout << number << " same " << end << "\n";
  std::cout << different << " differ\n";
  return different == 0 && ends["texts"] > count ? 0 : 1;
}

}  // namespace
}  // namespace mach::jinja

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 2000;
  const mach::Result<int> result = mach::jinja::Run(seed, count);
  if (!result) {
    std::cerr << result.error().message << "\n";
    return 2;
  }
  return *result;
}
