// templates_conformance DATA_DIR: renders published chat templates with recorded conversations
// and compares each result with what Jinja2 gave.
//
// DATA_DIR/templates holds published/*.jinja, conversations.json and expected.jsonl.xz: lines of
// {template, conversation, options, output} or {..., error, error_type}. Where the template
// itself refused (error_type "raise_exception") the message must be the same; where Jinja2 failed,
// any error will do. Ends with 1 when a render differs, 2 when the data can not be read.
#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "base/result.h"
#include "jinja/template.h"
#include "json/parse.h"
#include "json/value.h"

namespace mach::jinja {
namespace {

Result<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Code::kNotFound, path + ": can not be read"};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<std::string> ReadCompressed(const std::string& path) {
  MACH_RETURN_IF_ERROR(ReadText(path));
  if (path.find('\'') != std::string::npos) {
    return Error{Code::kInvalidArgument, path + ": the path must not have a quote"};
  }
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("xz -dc -- '" + path + "'").c_str(), "r"),
                                                   &pclose);
  if (pipe == nullptr) return Error{Code::kIo, "xz can not be started"};
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    text.append(buffer.data(), size);
  }
  if (text.empty()) return Error{Code::kIo, path + ": xz gave nothing"};
  return text;
}

Result<json::Value> ReadJson(const std::string& path) {
  MACH_TRY(const std::string text, ReadText(path));
  Result<json::Value> value = json::Parse(text);
  if (!value) return std::move(value).error().In(path);
  return value;
}

// "2026-02-03T04:05:06", taken as UTC.
Result<int64_t> ParseTime(const std::string& text) {
  std::tm time{};
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time) == nullptr) {
    return Error{Code::kCorrupt, "'now' is not a time: " + text};
  }
  return int64_t{timegm(&time)};
}

class Conformance {
 public:
  explicit Conformance(std::string folder) : folder_(std::move(folder)) {}

  Result<bool> Run() {
    MACH_TRY(data_, ReadJson(folder_ + "/conversations.json"));
    MACH_TRY(const std::string now, json::GetString(data_, "now"));
    MACH_TRY(options_.now_unix_seconds, ParseTime(now));
    MACH_TRY(const std::string lines, ReadCompressed(folder_ + "/expected.jsonl.xz"));
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) {
      MACH_TRY(const json::Value expected, json::Parse(line));
      MACH_RETURN_IF_ERROR(Compare(expected));
    }
    size_t total = 0;
    for (const auto& [outcome, count] : outcomes_) {
      std::cout << count << " " << outcome << "\n";
      total += count;
    }
    std::cout << total << " renders of " << templates_.size() << " templates, " << different_
              << " differ\n";
    return different_ == 0 && total != 0;
  }

 private:
  Result<const Template*> Load(const std::string& name) {
    if (const auto it = templates_.find(name); it != templates_.end()) return &it->second;
    MACH_TRY(const std::string source, ReadText(folder_ + "/published/" + name + ".jinja"));
    Result<Template> parsed = Template::Parse(source);
    if (!parsed) return std::move(parsed).error().In(name);
    return &templates_.emplace(name, *std::move(parsed)).first->second;
  }

  // The variables of a conversation with a set of options.
  Result<json::Object> Variables(const std::string& conversation, const std::string& options) {
    const json::Value* conversations = data_.Find("conversations");
    const json::Value* sets = data_.Find("options");
    const json::Value* tools = data_.Find("tools");
    const json::Value* set = sets == nullptr ? nullptr : sets->Find(options);
    if (conversations == nullptr || set == nullptr || tools == nullptr) {
      return Error{Code::kCorrupt, "conversations.json lacks the options '" + options + "'"};
    }
    for (const json::Value& entry : conversations->AsArray()) {
      MACH_TRY(const std::string name, json::GetString(entry, "name"));
      if (name != conversation) continue;
      json::Object variables;
      const json::Value* messages = entry.Find("messages");
      const json::Value* documents = entry.Find("documents");
      variables.Set("messages", messages == nullptr ? json::Value() : *messages);
      variables.Set("documents", documents == nullptr ? json::Value() : *documents);
      variables.Set("tools", json::Value());
      if (const json::Value* list = entry.Find("tools"); list != nullptr && list->is_string()) {
        const json::Value* found = tools->Find(list->AsString());
        if (found == nullptr) return Error{Code::kCorrupt, "no tools " + list->AsString()};
        variables.Set("tools", *found);
      }
      for (const json::Member& option : set->AsObject()) {
        variables.Set(option.key, option.value);
      }
      return variables;
    }
    return Error{Code::kCorrupt, "conversations.json lacks '" + conversation + "'"};
  }

  Status Compare(const json::Value& expected) {
    MACH_TRY(const std::string name, json::GetString(expected, "template"));
    MACH_TRY(const std::string conversation, json::GetString(expected, "conversation"));
    MACH_TRY(const std::string options, json::GetString(expected, "options"));
    MACH_TRY(const Template* chat_template, Load(name));
    MACH_TRY(const json::Object variables, Variables(conversation, options));
    const Result<Rendered> rendered = chat_template->Render(variables, options_);
    const json::Value* output = expected.Find("output");
    const std::string where = name + " / " + conversation + " / " + options + ": ";
    if (output != nullptr) {
      if (!rendered) {
        Differ(where + "error: " + rendered.error().message);
      } else if (rendered->text != output->AsString()) {
        Differ(where + Difference(rendered->text, output->AsString()));
      } else {
        ++outcomes_["same texts"];
      }
      return Ok();
    }
    MACH_TRY(const std::string error, json::GetString(expected, "error"));
    MACH_TRY(const std::string type, json::GetString(expected, "error_type"));
    if (rendered) {
      Differ(where + "no error, but Jinja2 had " + type + ": " + error);
    } else if (type != "raise_exception") {
      const bool refused = rendered.error().code == Code::kInvalidArgument;
      if (refused) {
        Differ(where + "refused, but Jinja2 had " + type + ": " + error);
      } else {
        ++outcomes_["errors (" + type + ")"];
      }
    } else if (rendered.error().code != Code::kInvalidArgument ||
               rendered.error().message != error) {
      Differ(where + "error '" + rendered.error().message + "', expected '" + error + "'");
    } else {
      ++outcomes_["same refusals"];
    }
    return Ok();
  }

  static std::string Difference(const std::string& got, const std::string& wanted) {
    size_t at = 0;
    while (at < got.size() && at < wanted.size() && got[at] == wanted[at]) ++at;
    const size_t from = at < 30 ? 0 : at - 30;
    return "differs at byte " + std::to_string(at) + "\n  got      ..." + got.substr(from, 90) +
           "\n  expected ..." + wanted.substr(from, 90);
  }

  void Differ(const std::string& what) {
    ++different_;
    ++outcomes_["DIFFERENT"];
    std::cout << what << "\n";
  }

  const std::string folder_;
  json::Value data_;
  RenderOptions options_;
  std::map<std::string, Template> templates_;
  std::map<std::string, size_t> outcomes_;
  size_t different_ = 0;
};

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: templates_conformance DATA_DIR\n";
    return 2;
  }
  const Result<bool> passed = Conformance(std::string(argv[1]) + "/templates").Run();
  if (!passed) {
    std::cerr << passed.error().message << "\n";
    return 2;
  }
  return *passed ? 0 : 1;
}

}  // namespace
}  // namespace mach::jinja

int main(int argc, char** argv) { return mach::jinja::Main(argc, argv); }
