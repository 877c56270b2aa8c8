// Templates that ask for too much end with an error.
#include <atomic>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jinja/template.h"
#include "json/value.h"

namespace mach::jinja {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

RenderOptions SmallLimits() {
  RenderOptions options;
  options.limits = {.max_steps = 300'000,
                    .max_depth = 100,
                    .max_stack_bytes = 2u << 20,
                    .max_output_bytes = 1u << 20,
                    .max_memory_bytes = 8u << 20};
  return options;
}

std::string Fails(std::string_view source) {
  const Result<Template> parsed = Template::Parse(source);
  EXPECT_TRUE(parsed) << parsed.error().message;
  if (!parsed) return "";
  const Result<Rendered> rendered = parsed->Render({}, SmallLimits());
  EXPECT_FALSE(rendered) << source;
  if (rendered) return "";
  EXPECT_EQ(rendered.error().code, Code::kUnsupported);
  return rendered.error().message;
}

TEST(TemplateLimitsTest, CancelledAtTheNextStep) {
  const Result<Template> parsed = Template::Parse(
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
  ASSERT_TRUE(parsed);
  const std::atomic<bool> cancel = true;
  RenderOptions options;
  options.limits.max_steps = 1;  // the second step would be another error
  options.cancel = &cancel;
  const Result<Rendered> rendered = parsed->Render({}, options);
  ASSERT_FALSE(rendered);
  EXPECT_EQ(rendered.error().code, Code::kCancelled);
}

std::string Repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(TemplateLimitsTest, Steps) {
  EXPECT_THAT(Fails("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
                    "{% endfor %}"),
              HasSubstr("steps"));
  EXPECT_THAT(Fails("{% set s = 'x' * 1000000 %}{% for i in range(99999) %}"
                    "{{ s.count('y') }}{% endfor %}"),
              HasSubstr("steps"));
}

TEST(TemplateLimitsTest, EndlessRecursion) {
  const char* const kSources[] = {
      "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
      "{% macro f() %}{% if true %}{% for i in [1] %}{{ g() }}{% endfor %}{% endif %}{% endmacro %}"
      "{% macro g() %}{% filter trim %}{{ [f()]|join }}{% endfilter %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}"
      "{% endcall %}{% endmacro %}{{ g() }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% macro f(a=f()) %}{% endmacro %}{% macro f(a=f()) %}{% endmacro %}{{ f() }}",
  };
  for (const char* source : kSources) {
    EXPECT_THAT(Fails(source), HasSubstr("recursion depth exceeded")) << source;
  }
}

TEST(TemplateLimitsTest, RecursionThroughDeepExpressions) {
  std::string source = "{% macro f() %}{{ ";
  source += Repeat("[", 60) + "f()" + Repeat("]", 60) + " }}{% endmacro %}{{ f() }}";
  EXPECT_THAT(Fails(source), AnyOf(HasSubstr("recursion depth"), HasSubstr("levels deep")));
}

TEST(TemplateLimitsTest, Output) {
  EXPECT_THAT(Fails("{% for i in range(3000) %}{{ 'x' * 1000 }}{% endfor %}"),
              HasSubstr("output is longer"));
  EXPECT_THAT(Fails("{% for i in range(30000) %}" + Repeat("text", 50) + "{% endfor %}"),
              HasSubstr("output is longer"));
  EXPECT_THAT(Fails("{% macro m() %}{{ 'x' * 400000 }}{% endmacro %}"
                    "{% filter trim %}{{ m() }}{% set y %}{{ m() }}{{ m() }}{{ m() }}{% endset %}"
                    "{% endfilter %}"),
              HasSubstr("output is longer"));
}

TEST(TemplateLimitsTest, Memory) {
  const char* const kSources[] = {
      "{{ 'x' * 10 ** 9 }}",
      "{{ 10 ** 15 * 'ab' }}",
      "{{ [1] * 10 ** 9 }}",
      "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = ns.l + ns.l %}"
      "{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}"
      "{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}"
      "{% endfor %}{{ ns.l | tojson }}",
      "{{ 'x'.center(10 ** 12) }}",
      "{{ 'x'.ljust(10 ** 12) }}",
      "{{ 'x'.zfill(10 ** 12) }}",
      "{{ 'x' | center(10 ** 12) }}",
      "{{ '%2000000000d' % 1 }}",
      "{{ '%-*s' % (10 ** 12, 'a') }}",
      "{{ '{:2000000000}'.format(1) }}",
      "{{ '{:*^{w}}'.format('a', w=10 ** 9) }}",
      "{{ 'a\\nb' | indent(10 ** 12) }}",
      "{{ 'a\\nb' | indent('x' * 4000000) | indent('x' * 4000000) }}",
      "{{ [1, [2]] | tojson(indent=10 ** 12) }}",
      "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
      "{{ (['a'] * 10000) | join('x' * 1000000) }}",
      "{{ ('x' * 1000000).join(['a'] * 10000) }}",
      "{{ '\\t'.expandtabs(10 ** 12) }}",
      "{{ [1] | batch(10 ** 12, 0) | list }}",
      "{{ (['a' * 1000000] * 3000) | tojson }}",
      "{{ range(99999) | map('string') | map('center', 1000) | list }}",
      "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}"
      "{% set ns.l = [i] + ns.l %}{% endfor %}{{ 1 / 0 }}",
  };
  for (const char* source : kSources) {
    EXPECT_THAT(Fails(source), AnyOf(HasSubstr("bytes"), HasSubstr("steps"), HasSubstr("too large"),
                                     HasSubstr("64 bits")))
        << source;
  }
}

TEST(TemplateLimitsTest, RangesAreShort) {
  EXPECT_THAT(Fails("{{ range(10 ** 9) }}"), HasSubstr("range()"));
  EXPECT_THAT(Fails("{{ range(-9223372036854775807, 9223372036854775807) }}"),
              HasSubstr("range()"));
}

TEST(TemplateLimitsTest, DepthOfValues) {
  const char* const kSources[] = {
      "{% set ns = namespace(v=[]) %}{% for i in range(9999) %}{% set ns.v = [ns.v] %}{% endfor %}",
      "{% set ns = namespace(v={}) %}{% for i in range(9999) %}{% set ns.v = {'k': ns.v} %}"
      "{% endfor %}",
      "{% set ns = namespace(v=[]) %}{% for i in range(9999) %}"
      "{% set ns.v = ns.v | map('string') %}{% endfor %}",
      "{% set ns = namespace(v=[]) %}{% for i in range(9999) %}"
      "{% set ns.v = [1] | select('in', ns.v) %}{% endfor %}",
      "{% set ns = namespace(v=[]) %}{% for i in range(9999) %}"
      "{% for x in [ns.v] %}{% set ns.v = loop %}{% endfor %}{% endfor %}",
  };
  for (const char* source : kSources) {
    EXPECT_THAT(Fails(source), HasSubstr("levels deep")) << source;
  }
}

TEST(TemplateLimitsTest, CyclesAndChainsOfNamespacesAreHarmless) {
  EXPECT_THAT(Fails("{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}"),
              AnyOf(HasSubstr("recursion depth"), HasSubstr("bytes")));
  const Result<Template> chain = Template::Parse(
      "{% set ns = namespace() %}{% set ns.at = namespace() %}{% for i in range(9999) %}"
      "{% set c = ns.at %}{% set n = namespace() %}{% set c.next = n %}{% set ns.at = n %}"
      "{% endfor %}done");
  ASSERT_TRUE(chain);
  const Result<Rendered> rendered = chain->Render({}, SmallLimits());
  ASSERT_TRUE(rendered) << rendered.error().message;
  EXPECT_EQ(rendered->text, "done");
}

TEST(TemplateLimitsTest, ComparisonsOfSharedValuesAreCounted) {
  EXPECT_THAT(Fails("{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
                    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
                    "{{ ns.a == ns.b }}"),
              HasSubstr("steps"));
}

TEST(TemplateLimitsTest, DepthOfSource) {
  const std::string kSources[] = {
      "{{ " + Repeat("(", 5000) + "1" + Repeat(")", 5000) + " }}",
      "{{ " + Repeat("[", 5000) + Repeat("]", 5000) + " }}",
      "{{ " + Repeat("-", 5000) + "1 }}",
      "{{ " + Repeat("not ", 5000) + "1 }}",
      "{{ 1" + Repeat(" + 1", 5000) + " }}",
      "{{ a" + Repeat(".b", 5000) + " }}",
      "{{ a" + Repeat("|trim", 5000) + " }}",
      "{{ a" + Repeat("(1)", 5000) + " }}",
      "{{ 1" + Repeat(" if 1 else 1", 5000) + " }}",
      "{{ " + Repeat("x[", 5000) + "1" + Repeat("]", 5000) + " }}",
      Repeat("{% if 1 %}", 5000) + Repeat("{% endif %}", 5000),
      Repeat("{% filter trim %}", 5000) + Repeat("{% endfilter %}", 5000),
      "{% for " + Repeat("(", 5000) + "a" + Repeat(")", 5000) + " in b %}{% endfor %}",
      "{% filter trim" + Repeat("|trim", 5000) + " %}{% endfilter %}",
  };
  for (const std::string& source : kSources) {
    const Result<Template> parsed = Template::Parse(source);
    ASSERT_FALSE(parsed) << source.substr(0, 40);
    EXPECT_THAT(parsed.error().message, HasSubstr("levels deep"));
  }
}

TEST(TemplateLimitsTest, LongFlatSourcesAreFine) {
  const std::string source = "{% if 0 %}" + Repeat("{% elif 0 %}", 5000) + "{% endif %}" + "{{ 1" +
                             Repeat(" ~ 1", 5000) + " }}";
  const Result<Template> parsed = Template::Parse(source);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Result<Rendered> rendered = parsed->Render({}, {});
  ASSERT_TRUE(rendered) << rendered.error().message;
  EXPECT_EQ(rendered->text.size(), 5001u);
  EXPECT_FALSE(Template::Parse(std::string(5u << 20, ' ')));
}

TEST(TemplateLimitsTest, DeepVariablesAreRefused) {
  json::Value deep;
  for (int i = 0; i < 300; ++i) deep = json::Value(json::Array{deep});
  const Result<Template> parsed = Template::Parse("{{ a }}");
  ASSERT_TRUE(parsed);
  const Result<Rendered> rendered = parsed->Render({{"a", deep}}, SmallLimits());
  ASSERT_FALSE(rendered);
  EXPECT_THAT(rendered.error().message, HasSubstr("levels deep"));
}

}  // namespace
}  // namespace mach::jinja
