#include "jinja/template.h"

#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::jinja {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<Rendered> Render(std::string_view source, const json::Object& variables = {},
                        const RenderOptions& options = {}) {
  MACH_TRY(const Template parsed, Template::Parse(source));
  return parsed.Render(variables, options);
}

std::string TextOf(std::string_view source, const json::Object& variables = {}) {
  const Result<Rendered> rendered = Render(source, variables);
  return rendered ? rendered->text : "error: " + rendered.error().message;
}

Error ErrorOf(std::string_view source, const json::Object& variables = {},
              const RenderOptions& options = {}) {
  const Result<Rendered> rendered = Render(source, variables, options);
  EXPECT_FALSE(rendered) << source;
  return rendered ? Error{} : rendered.error();
}

TEST(TemplateTest, KeepsItsSource) {
  const Result<Template> parsed = Template::Parse("a\r\n{{ 1 }}\n");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->source(), "a\r\n{{ 1 }}\n");
}

TEST(TemplateTest, WhatANamespaceHoldsGrowsAndNobodyElseSeesIt) {
  const std::string begin = "{% set ns = namespace(a='x', l=[1]) %}{% set ns.a = ns.a + 'y' %}";
  EXPECT_EQ(TextOf(begin + "{% set b = ns.a %}{% set ns.a = ns.a + 'z' %}{{ b }} {{ ns.a }}"),
            "xy xyz");
  EXPECT_EQ(TextOf(begin + "{% set l = [ns.a] %}{% set ns.a = ns.a ~ 1 ~ 'z' %}{{ l }} {{ ns.a }}"),
            "['xy'] xy1z");
  EXPECT_EQ(TextOf(begin + "{% set ns.a = ns.a + '-' + ns.a + ns.a %}{{ ns.a }}"), "xy-xyxy");
  EXPECT_EQ(TextOf(begin + "{% macro m() %}<{{ ns.a }}>{% endmacro %}"
                           "{% set ns.a = ns.a + '-' + m() %}{{ ns.a }}"),
            "xy-<xy>");
  EXPECT_EQ(TextOf(begin + "{% set ns.a = ns.a + 'é' if ns.a else 'none' %}{{ ns.a[2] }}"), "é");
  EXPECT_EQ(TextOf(begin + "{% set ns.l = ns.l + [2] %}{% for x in ns.l %}"
                           "{% set ns.l = ns.l + [x] + [[ns.l]] %}{% endfor %}{{ ns.l }}"),
            "[1, 2, 1, [[1, 2]], 2, [[1, 2, 1, [[1, 2]]]]]");
  EXPECT_THAT(ErrorOf(begin + "{% set ns.a = ns.a + 1 + raise_exception('late') %}").message,
              HasSubstr("can only concatenate str"));
  const auto parsed = Template::Parse(
      "{% set ns = namespace(a='') %}{% for x in ['b', 'c'] %}"
      "{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}");
  ASSERT_TRUE(parsed);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(parsed->Render({}, {})->text, "bc");
}

TEST(TemplateTest, CharactersOfLongTextsAreFoundByTheirNumber) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += i % 3 == 0 ? "é" : i % 3 == 1 ? "x" : "😀";
  const json::Object variables{{"t", text}};
  for (const int at : {0, 254, 255, 256, 257, 511, 512, 513, 1535, 1536, 1999}) {
    const std::string expected = at % 3 == 0 ? "é" : at % 3 == 1 ? "x" : "😀";
    const std::string index = std::to_string(at);
    EXPECT_EQ(TextOf("{{ t[" + index + "] }}", variables), expected) << at;
    EXPECT_EQ(TextOf("{{ t[" + index + " - 2000] }}", variables), expected) << at;
    EXPECT_EQ(TextOf("{{ t[" + index + ":" + index + " + 1] }}", variables), expected) << at;
    EXPECT_EQ(TextOf("{% set ns = namespace(t='') %}{% for c in t %}{% set ns.t = ns.t + c %}"
                     "{% endfor %}{{ ns.t[" +
                         index + "] }}{{ ns.t | length }}",
                     variables),
              expected + "2000");
  }
  EXPECT_EQ(TextOf("{{ t | length }} {{ t[:512] | length }} {{ (t + 'é')[2000] }}", variables),
            "2000 512 é");
  EXPECT_EQ(TextOf("{{ t[2000] is defined }}", variables), "False");
}

TEST(TemplateTest, WhatGrowsKeepsItsPlainRanges) {
  const json::Object variables{
      {"messages", json::Array{json::Object{{"role", "user"}, {"content", "one"}},
                               json::Object{{"role", "assistant"}, {"content", "two"}},
                               json::Object{{"role", "user"}, {"content", "thr<"}}}}};
  const auto render = [&](const std::string& sum) {
    return *Render("{% set ns = namespace(a='') %}{% for m in messages %}{% set ns.a = " + sum +
                       " %}{% endfor %}{{ ns.a }}",
                   variables);
  };
  for (const std::string sum :
       {"ns.a + m.content", "ns.a ~ m.content ~ m.content", "ns.a + m.content if m.role else ''"}) {
    const Rendered grown = render(sum);
    const Rendered copied = render("'' + " + sum);
    EXPECT_EQ(grown.text, copied.text);
    EXPECT_EQ(grown.plain, copied.plain);
    EXPECT_FALSE(grown.plain.empty());
  }
}

TEST(TemplateTest, RefusalsCarryTheMessageOfTheTemplate) {
  const Error refusal = ErrorOf("\n{% if true %}{{ raise_exception('No é: ' ~ 1) }}{% endif %}");
  EXPECT_EQ(refusal.code, Code::kInvalidArgument);
  EXPECT_EQ(refusal.message, "No é: 1");
}

TEST(TemplateTest, OtherErrorsNameTheLine) {
  const Error error = ErrorOf("a\n{% set x = none %}\n{{ 'a' ~\n  (x + 'b') }}");
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.message,
            "chat template line 4: unsupported operand type(s) for +: 'NoneType' and 'str'");
}

TEST(TemplateTest, ErrorsOfFromJsonAreNoRefusals) {
  EXPECT_EQ(ErrorOf("{{ '{' | from_json }}").code, Code::kUnsupported);
}

TEST(TemplateTest, UnsupportedConstructsAreNamed) {
  for (const char* tag : {"include", "import", "from", "extends", "block", "autoescape", "do"}) {
    const Result<Template> parsed = Template::Parse("text\n{% " + std::string(tag) + " 'x' %}");
    ASSERT_FALSE(parsed) << tag;
    EXPECT_EQ(parsed.error().code, Code::kUnsupported);
    EXPECT_THAT(parsed.error().message, StartsWith("chat template line 2: "));
    EXPECT_THAT(parsed.error().message, HasSubstr("'" + std::string(tag) + "'"));
  }
  EXPECT_THAT(ErrorOf("\n{{ 'a' | urlize }}").message,
              HasSubstr("line 2: No filter named 'urlize'"));
  EXPECT_THAT(ErrorOf("{{ 'a' is odder }}").message, HasSubstr("No test named 'odder'"));
  EXPECT_THAT(ErrorOf("{{ '\\N{BULLET}' }}").message, HasSubstr("\\N{...}"));
  EXPECT_THAT(ErrorOf("{{ 'a'.encode() }}").message, HasSubstr("encode"));
  EXPECT_THAT(ErrorOf("{{ 100000000000000000000 + 1 }}").message, HasSubstr("64 bits"));
  EXPECT_THAT(ErrorOf("{{ 9223372036854775807 + 1 }}").message, HasSubstr("64 bits"));
}

TEST(TemplateTest, BrokenTemplatesDoNotParse) {
  for (const char* source : {"{{", "{%", "{#", "{{ 'a }}", "{% if x %}", "{{ 1 + }}", "{{ (1 }}",
                             "{% for x %}{% endfor %}", "{% raw %}", "{{ a b }}", "{% set 1 = 2 %}",
                             "{{ '\\x1' }}", "{% macro m(a, a) %}{% endmacro %}", "{{ $ }}", "\xff",
                             "{{ x[1:2, 3] }}", "{% break %}", "{{ f(*a, b) }}"}) {
    const Result<Template> parsed = Template::Parse(source);
    ASSERT_FALSE(parsed) << source;
    EXPECT_EQ(parsed.error().code, Code::kCorrupt) << source;
  }
}

TEST(TemplateTest, ListsCanNotBeChanged) {
  for (const char* method : {"append(1)", "pop()", "clear()", "extend([])", "sort()"}) {
    EXPECT_THAT(ErrorOf("{% set l = [1] %}{{ l." + std::string(method) + " }}").message,
                HasSubstr("is unsafe"));
  }
}

TEST(TemplateTest, TheClockIsInjected) {
  const Result<Rendered> rendered =
      Render("{{ strftime_now('%Y-%m-%d %H:%M:%S') }}", {}, {.now_unix_seconds = 86399});
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->text, "1970-01-01 23:59:59");
}

TEST(TemplateTest, VariablesMayHideFunctions) {
  EXPECT_EQ(TextOf("{{ range }}{{ dict }}", {{"range", 1}, {"dict", "x"}}), "1x");
}

TEST(TemplateTest, InvalidUtf8OfVariablesIsRepaired) {
  EXPECT_EQ(TextOf("{{ a }}{{ a | length }}", {{"a", "x\xffy"}}), "x\uFFFDy3");
}

TEST(TemplateTest, LargeMappingsKeepOrderAndFindKeys) {
  json::Object large;
  for (int i = 0; i < 1000; ++i) large.Set("k" + std::to_string(i), i);
  EXPECT_EQ(TextOf("{{ d.k777 }} {{ d['k5'] }} {{ d.zz is defined }} {{ d|first }} {{ d|length }} "
                   "{{ 'k999' in d }} {{ 5 in d }} {{ d == d.copy() }}",
                   {{"d", large}}),
            "777 5 False k0 1000 True False True");
}

TEST(TemplateTest, CyclesOfReferencesDoNotLeak) {
  EXPECT_EQ(TextOf("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns, {'k': ns}] %}"
                   "{% macro m() %}{{ m is defined }}{% endmacro %}{% set ns.m = m %}{{ ns.m() }}"
                   "{% for i in [1, 2] recursive %}{{ loop.changed(loop) }}{% set ns.l = loop %}"
                   "{% macro k() %}{{ i }}{% endmacro %}{% set ns.k = k %}{{ k() }}{% endfor %}"
                   "{% set g = [ns]|map('default', ns) %}{% set ns.g = g %}{{ ns.k() }}"),
            "TrueTrue1False22");
}

TEST(TemplateTest, MacrosOutliveTheirScope) {
  EXPECT_EQ(TextOf("{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m(x) %}{{ i }}{{ x }}"
                   "{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m('!') }}"),
            "2!");
}

TEST(TemplateTest, GeneratorsAreLazyAndRunOnce) {
  EXPECT_EQ(TextOf("{% set g = [1, 'a'] | map('round') %}{{ g | first }}"), "1");
  EXPECT_EQ(TextOf("{% set g = [1, 2, 3] | select %}{{ g | first }}{{ g | list }}{{ g | list }}"),
            "1[2, 3][]");
}

TEST(TemplateTest, RendersFromManyThreads) {
  const Result<Template> parsed = Template::Parse(
      "{% macro m(x) %}<{{ x }}{{ 'const' }}>{% endmacro %}"
      "{% for i in range(n) %}{{ m(i) }}{% endfor %}{{ s | upper }}");
  ASSERT_TRUE(parsed);
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        const Result<Rendered> rendered =
            parsed->Render({{"n", 3}, {"s", "thread " + std::to_string(i)}}, {});
        texts[i] = rendered ? rendered->text : rendered.error().message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i], "<0const><1const><2const>THREAD " + std::to_string(i));
  }
}

}  // namespace
}  // namespace mach::jinja
