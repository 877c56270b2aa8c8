// Templates: what they loop over, filters, methods and operators, on lists, mappings and strings.
#include "jinja/template.h"

#include <memory>

#include <gtest/gtest.h>

#include "growth.h"
#include "json/value.h"

namespace mach::growth {
namespace {

// What templates read, of n parts each.
json::Value Variable(std::string_view name, size_t n) {
  if (name == "n") return n;
  if (name == "text") return Times(n, "word, <b> ");
  if (name == "blank") return Times(n, " ");
  if (name == "lines") return Times(n, "line\n\n");
  if (name == "wide") return Times(n, "ä€ ");
  json::Array list;
  json::Object dict;
  for (size_t i = 0; i < n; ++i) {
    const auto number = static_cast<int64_t>(i * 7919 % n);
    const std::string word = "w" + std::to_string(number);
    if (name == "numbers") list.emplace_back(number);
    if (name == "words") list.emplace_back(word);
    if (name == "rows") list.push_back(json::Object{{"k", word}, {"g", number % 7}, {"n", number}});
    if (name == "dict") dict.Set("k" + std::to_string(i), number);
  }
  return name == "dict" ? json::Value(std::move(dict)) : json::Value(std::move(list));
}

json::Object Variables(std::string_view source, size_t n) {
  json::Object variables;
  for (const std::string_view name :
       {"n", "text", "blank", "lines", "wide", "numbers", "words", "rows", "dict"}) {
    if (source.find(name) != std::string_view::npos) variables.Set(name, Variable(name, n));
  }
  return variables;
}

void ExpectLinearRender(std::string_view source) {
  const auto parsed = jinja::Template::Parse(source);
  ASSERT_TRUE(parsed.ok()) << source << ": " << parsed.error().message;
  size_t most = kManyParts;
  for (const std::string_view keys : {"dict", "rows", "sort", "unique"}) {
    if (source.find(keys) != std::string_view::npos) most = kManyKeys;
  }
  ExpectLinear(source, most, [&](size_t n) -> Work {
    return [&parsed, variables = std::make_shared<json::Object>(Variables(source, n))] {
      jinja::RenderOptions options;
      options.limits.max_steps = SIZE_MAX;
      options.limits.max_memory_bytes = size_t{1} << 40;
      options.limits.max_output_bytes = size_t{1} << 40;
      const auto rendered = parsed->Render(*variables, options);
      EXPECT_TRUE(rendered.ok()) << rendered.error().message;
      return rendered.ok();
    };
  });
}

TEST(TemplateGrowth, Loops) {
  for (const std::string_view source : {
           "{% for x in numbers %}{{ x }},{% endfor %}",
           "{% for x in numbers %}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% endfor %}",
           "{% for x in numbers %}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.revindex }}{% "
           "endfor %}",
           "{% for x in numbers if x is odd %}{{ loop.length }}{% else %}none{% endfor %}",
           "{% for x in numbers %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}{% endfor %}",
           "{% for x in numbers %}{% if x == n %}{% break %}{% endif %}{% endfor %}",
           "{% for k, v in dict.items() %}{{ k }}={{ v }}{% endfor %}",
           "{% for k in dict %}{{ dict[k] }}{{ k in dict }}{% endfor %}",
           "{% for c in text %}{{ c }}{% endfor %}",
           "{% for c in wide %}{{ c }}{% endfor %}",
           "{% for i in range(n) %}{{ words[i] }}{{ text[i] }}{% endfor %}",
           "{% for i in range(n) %}{{ wide[i] }}{% endfor %}",
           "{% for i in range(n) %}{{ rows[i].k }}{{ rows[-i].k }}{% endfor %}",
           "{% for x in rows %}{% for y in [1, 2, 3] %}{{ x.k }}{% endfor %}{% endfor %}",
           "{% for x in numbers %}{% set y = x + 1 %}{{ y }}{% endfor %}",
           "{% macro m(x) %}<{{ x }}>{% endmacro %}{% for x in words %}{{ m(x) }}{% endfor %}",
           "{% for x in numbers | reverse %}{{ loop.length }}{% endfor %}",
           "{% for x in words %}{% set b %}{{ x }}{% endset %}{{ b }}{% endfor %}",
           "{% for x in words %}{% filter upper %}{{ x }}{% endfilter %}{% endfor %}",
       }) {
    ExpectLinearRender(source);
  }
}

TEST(TemplateGrowth, Namespaces) {
  for (const std::string_view source : {
           "{% set ns = namespace(x=0) %}{% for x in numbers %}{% set ns.x = ns.x + x %}{% endfor "
           "%}",
           "{% set ns = namespace(a='') %}{% for x in words %}{% set ns.a = ns.a + x %}{% endfor "
           "%}",
           "{% set ns = namespace(a='') %}{% for x in words %}{% set ns.a = ns.a ~ x ~ ',' %}{% "
           "endfor %}",
           "{% set ns = namespace(a='') %}{% for x in words %}"
           "{% set ns.a = ns.a + '\\n' + x if ns.a else x %}{% endfor %}{{ ns.a }}",
           "{% set ns = namespace(a=[]) %}{% for x in words %}{% set ns.a = ns.a + [x] %}{% endfor "
           "%}"
           "{{ ns.a | length }}",
       }) {
    ExpectLinearRender(source);
  }
}

TEST(TemplateGrowth, Operators) {
  for (const std::string_view source : {
           "{{ n in numbers }}{{ 'none' in words }}{{ 'none' in text }}{{ 'none' in wide }}",
           "{{ numbers == numbers + [] }}{{ dict == dict.copy() }}{{ rows != rows + [1] }}",
           "{{ words < words + ['a'] }}{{ text < text + 'a' }}{{ text == text + '' }}",
           "{{ numbers[1:] | length }}{{ numbers[::-1] | length }}{{ text[1:-1] }}{{ wide[::2] }}",
           "{{ text ~ wide ~ numbers }}{{ text * 3 }}{{ numbers * 3 }}{{ '%s-%s' % (text, n) }}",
           "{{ numbers }}{{ dict }}{{ rows }}{{ words }}{{ wide }}",
           "{{ dict.keys() | list }}{{ dict.values() | list }}{{ dict.items() | list }}",
           "{{ text[n] }}{{ wide[n] }}{{ dict['k1'] }}{{ dict.k1 }}{{ dict.get('k1') }}",
       }) {
    ExpectLinearRender(source);
  }
}

TEST(TemplateGrowth, ListFilters) {
  for (const std::string_view filter : {"sort",
                                        "sort(reverse=true)",
                                        "unique | list",
                                        "reverse | list",
                                        "join(', ')",
                                        "batch(3) | list",
                                        "slice(3) | list",
                                        "min",
                                        "max",
                                        "first",
                                        "last",
                                        "length",
                                        "list",
                                        "string",
                                        "tojson",
                                        "tojson(indent=2)",
                                        "map('string') | list",
                                        "select('string') | list",
                                        "reject('string') | list",
                                        "map('upper') | join",
                                        "map('length') | sum"}) {
    ExpectLinearRender("{{ words | " + std::string(filter) + " }}");
  }
  for (const std::string_view filter :
       {"sort(attribute='n') | list", "groupby('g') | list", "groupby('k') | list",
        "map(attribute='k') | join", "selectattr('g', 'equalto', 3) | list",
        "rejectattr('g', 'in', [1, 2]) | list", "unique(attribute='k') | list",
        "sum(attribute='n')", "max(attribute='n')", "tojson", "string",
        "sort(attribute='g,k') | list"}) {
    ExpectLinearRender("{{ rows | " + std::string(filter) + " }}");
  }
  for (const std::string_view filter :
       {"dictsort", "dictsort(by='value')", "items | list", "tojson", "tojson(sort_keys=true)",
        "length", "urlencode", "list", "sort"}) {
    ExpectLinearRender("{{ dict | " + std::string(filter) + " }}");
  }
  ExpectLinearRender("{{ rows | tojson | from_json | length }}");
  ExpectLinearRender("{{ words.index('none') if 'none' in words }}{{ words.count('w1') }}");
}

// Of texts of several kinds.
void ExpectLinearTexts(std::string_view after) {
  std::string source;
  for (const std::string_view name : {"text", "wide", "lines", "blank"}) {
    source += "{{ " + std::string(name) + std::string(after) + " }}";
  }
  ExpectLinearRender(source);
}

TEST(TemplateGrowth, TextFilters) {
  for (const std::string_view filter : {" | upper",
                                        " | lower | title",
                                        " | capitalize",
                                        " | trim",
                                        " | trim('word, ')",
                                        " | replace('o', 'xyz')",
                                        " | replace('', '-')",
                                        " | indent(2)",
                                        " | indent(2, true, true)",
                                        " | wordcount",
                                        " | truncate(40)",
                                        " | truncate(n)",
                                        " | center(n)",
                                        " | escape",
                                        " | forceescape",
                                        " | safe",
                                        " | urlencode",
                                        " | tojson",
                                        " | length",
                                        " | reverse",
                                        " | list | length",
                                        " | first",
                                        " | last",
                                        " | sort | length",
                                        " | unique | join"}) {
    ExpectLinearTexts(filter);
  }
}

TEST(TemplateGrowth, TextMethods) {
  for (const std::string_view call :
       {".split()",           ".split(' ')",        ".rsplit(' ')",      ".rsplit()",
        ".split(' ', 1)",     ".splitlines()",      ".splitlines(true)", ".strip()",
        ".lstrip('word')",    ".rstrip()",          ".count('o')",       ".count('')",
        ".find('none')",      ".rfind('none')",     ".startswith('w')",  ".endswith('w')",
        ".replace('o', 'p')", ".partition('none')", ".rpartition(' ')",  ".removeprefix('w')",
        ".removesuffix(' ')", ".expandtabs()",      ".ljust(n)",         ".rjust(n)",
        ".zfill(n)",          ".swapcase()",        ".casefold()",       ".title()",
        ".isalpha()",         ".isascii()",         ".isspace()",        ".istitle()",
        ".isidentifier()",    ".isprintable()",     ".islower()",        ".isupper()"}) {
    ExpectLinearTexts(call);
  }
  ExpectLinearRender(
      "{{ ', '.join(words) }}{{ '{}-{}'.format(text, wide) }}{{ '%s' | format(text) }}");
}

}  // namespace
}  // namespace mach::growth
