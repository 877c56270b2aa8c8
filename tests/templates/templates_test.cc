// Templates and the results that Jinja2 gave for them.
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "jinja/template.h"
#include "json/parse.h"
#include "json/value.h"

namespace mach::jinja {
namespace {

constexpr int64_t kNow = 1770091506;  // 2026-02-03 04:05:06, as in render_reference.py

std::string ReadText(const std::string& path) {
  std::ifstream file(std::string(MACH_SOURCE_DIR) + "/" + path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

json::Value ReadJson(const std::string& path) {
  Result<json::Value> value = json::Parse(ReadText(path));
  EXPECT_TRUE(value) << path << ": " << value.error().message;
  return value ? *std::move(value) : json::Value();
}

// A template that does not parse ends like one that fails to render.
Result<Rendered> Render(const std::string& source, const json::Object& variables) {
  MACH_TRY(const Template parsed, Template::Parse(source));
  return parsed.Render(variables, {.now_unix_seconds = kNow});
}

void CheckRecorded(const std::string& name) {
  const json::Value data = ReadJson("tests/templates/" + name + ".json");
  std::istringstream lines(ReadText("tests/templates/" + name + "_expected.jsonl"));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Result<json::Value> expected = json::Parse(line);
    ASSERT_TRUE(expected) << line;
    const std::string& snippet = expected->Find("snippet")->AsString();
    SCOPED_TRACE(snippet);
    ASSERT_EQ(snippet, data.Find("snippets")->AsArray()[count].AsString());
    const Result<Rendered> rendered = Render(snippet, data.Find("variables")->AsObject());
    if (const json::Value* output = expected->Find("output")) {
      if (rendered) {
        EXPECT_EQ(rendered->text, output->AsString());
      } else {
        ADD_FAILURE() << "error: " << rendered.error().message;
      }
      continue;
    }
    const std::string& error = expected->Find("error")->AsString();
    const bool refused = expected->Find("error_type")->AsString() == "raise_exception";
    if (rendered) {
      ADD_FAILURE() << "no error, but Jinja2 had: " << error << "\ngot: " << rendered->text;
      continue;
    }
    EXPECT_EQ(rendered.error().code == Code::kInvalidArgument, refused) << rendered.error().message;
    if (refused) {
      EXPECT_EQ(rendered.error().message, error);
    } else {
      EXPECT_EQ(rendered.error().message.rfind("chat template line ", 0), 0u);
    }
  }
  EXPECT_EQ(count, data.Find("snippets")->AsArray().size());
}

TEST(TemplatesTest, Snippets) { CheckRecorded("snippets"); }

TEST(TemplatesTest, Fragments) { CheckRecorded("fragments"); }

TEST(TemplatesTest, MachTinyGoldens) {
  const Result<Template> parsed = Template::Parse(ReadText("models/mach-tiny/chat_template.jinja"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const json::Value goldens = ReadJson("tests/goldens/mach-tiny/golden-4bit.json");
  size_t count = 0;
  for (const json::Value& golden : goldens.AsArray()) {
    if (golden.Find("case")->is_null()) continue;  // a text that no template made
    ++count;
    json::Object variables = golden.Find("case")->AsObject();
    variables.Set("add_generation_prompt", true);
    const Result<Rendered> rendered = parsed->Render(variables, {});
    ASSERT_TRUE(rendered) << rendered.error().message;
    EXPECT_EQ(rendered->text, golden.Find("text")->AsString());
  }
  EXPECT_GE(count, 12u);
}

}  // namespace
}  // namespace mach::jinja
