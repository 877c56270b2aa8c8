// Sources of templates, and strings of many tracked ranges.
#include <memory>

#include <gtest/gtest.h>

#include "growth.h"
#include "jinja/template.h"
#include "json/value.h"

namespace mach::growth {
namespace {

constexpr Input kSources[] = {
    {"text", [](size_t n) { return Times(n, "a { b } %\n"); }},
    {"outputs", [](size_t n) { return Times(n, "{{ x }}"); }},
    {"statements", [](size_t n) { return Times(n, "{% if x %}a{% endif %}\n"); }},
    {"names", [](size_t n) { return Numbered(n, "{{ x@ }}{% set y@ = x@ %}", ""); }, kManyKeys},
    {"stripped space",
     [](size_t n) { return "a" + Times(n, " \n") + "{{- x -}}" + Times(n, " "); }},
    {"tags with space", [](size_t n) { return Times(n, "  {%- set x = 1 -%}  \n"); }},
    {"a comment", [](size_t n) { return "{#" + Times(n, "-# }") + "#}"; }},
    {"comments", [](size_t n) { return Times(n, "{# a #}"); }},
    {"raw text", [](size_t n) { return "{% raw %}" + Times(n, "{% {{ ") + "{% endraw %}"; }},
    {"a string", [](size_t n) { return "{{ '" + Times(n, "a\\n") + "' }}"; }},
    {"strings in a row", [](size_t n) { return "{{ 'a'" + Times(n, " 'b'") + " }}"; }},
    {"a list", [](size_t n) { return "{{ [1" + Times(n, ", 1") + "] }}"; }},
    {"a mapping", [](size_t n) { return "{{ {" + Numbered(n, "'k@': 1") + "} }}"; }, kManyKeys},
    {"a chain of ~", [](size_t n) { return "{{ 'a'" + Times(n, " ~ x") + " }}"; }},
    {"comparisons", [](size_t n) { return "{{ 1" + Times(n, " < 2") + " }}"; }},
    {"branches", [](size_t n) { return "{% if a %}" + Times(n, "{% elif b %}c") + "{% endif %}"; }},
    {"a tag that stays open", [](size_t n) { return "{{ " + Times(n, "x "); }},
    {"open brackets", [](size_t n) { return "{{ " + Times(n, "("); }},
};

TEST(TemplateSourceGrowth, Parse) {
  for (const Input& source : kSources) {
    ExpectLinear(source.name, source.most, [&](size_t n) -> Work {
      return [text = source.make(n)] {
        static_cast<void>(jinja::Template::Parse(text));
        return true;
      };
    });
  }
}

// The text `t` consists of n parts of users, n of nobody between them.
TEST(TemplateSourceGrowth, TrackedRanges) {
  for (const std::string_view use :
       {"{{ t }}", "{{ t | upper }}", "{{ t | trim }}{{ t[1:-1] }}{{ t[::2] }}",
        "{{ t | replace('o', '--') }}", "{{ t.split('-') | join('+') }}", "{{ t | escape }}",
        "{% for c in t %}{{ c }}{% endfor %}", "{{ t ~ t }}{{ t + t }}{{ '%s' % t }}",
        "{{ t | indent(2) }}{{ t.splitlines() | join }}", "{{ t | tojson }}{{ t | string }}",
        "{% set ns = namespace(a='') %}{% for m in messages %}{% set ns.a = ns.a + m.content + ',' "
        "%}"
        "{% endfor %}{{ ns.a }}"}) {
    const std::string source =
        "{% set t %}{% for m in messages %}{{ m.content }}-{% endfor %}{% endset %}" +
        std::string(use);
    const auto parsed = jinja::Template::Parse(source);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    ExpectLinear(use, kManyParts, [&](size_t n) -> Work {
      json::Array messages;
      for (size_t i = 0; i < n; ++i) {
        messages.push_back(json::Object{{"role", "user"}, {"content", "word\n"}});
      }
      auto variables = std::make_shared<json::Object>();
      variables->Set("messages", std::move(messages));
      return [&parsed, variables] {
        jinja::RenderOptions options;
        options.limits.max_steps = SIZE_MAX;
        const auto rendered = parsed->Render(*variables, options);
        return rendered.ok() && !rendered->plain.empty();
      };
    });
  }
}

}  // namespace
}  // namespace mach::growth
