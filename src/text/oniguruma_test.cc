#include "text/oniguruma.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "json/value.h"
#include "text/regex.h"

namespace mach::text {
namespace {

std::vector<std::string> Matches(std::string_view pattern, std::string_view text) {
  auto compiled = Pattern::FromJson(json::Object{{"Regex", pattern}});
  if (!compiled.ok()) return {"error: " + compiled.error().message};
  WorkBudget budget(0);
  std::vector<std::string> out;
  MatchCursor cursor(*compiled, text, budget);
  while (const auto m = cursor.Next()) out.emplace_back(text.substr(m->begin, m->end - m->begin));
  return out;
}

using Strings = std::vector<std::string>;

TEST(Oniguruma, WhiteSpaceIsTheUnicodeProperty) {
  EXPECT_EQ(Matches("\\s", "a\u0085\u2028\u3000\u00A0\t"),
            (Strings{"\u0085", "\u2028", "\u3000", "\u00A0", "\t"}));
  EXPECT_EQ(Matches("\\s", "\u180E\u200B\uFEFF\x1C\x1F"), Strings{});
  EXPECT_EQ(Matches("\\S+", "a\u180E\u3000b"), (Strings{"a\u180E", "b"}));
  EXPECT_EQ(Matches("[\\S\\n]+", "a\u180E\u3000\nb"), (Strings{"a\u180E", "\nb"}));
  EXPECT_EQ(Matches("[^\\s]+", "a\u180E\u3000b"), (Strings{"a\u180E", "b"}));
}

TEST(Oniguruma, CaseFoldingIsUnicode) {
  EXPECT_EQ(Matches("(?i:'s|'k)", "'s'S'\u017F'\u212A"),
            (Strings{"'s", "'S", "'\u017F", "'\u212A"}));
  EXPECT_EQ(Matches("a(?i)b|c", "aB C c abaC"), (Strings{"aB", "ab", "aC"}));
  EXPECT_EQ(Matches("(a(?i)b)c", "aBc aBC"), (Strings{"aBc"}));
}

TEST(Oniguruma, AnchorsMeanLines) {
  EXPECT_EQ(Matches("^a$", "a\na\nba"), (Strings{"a", "a"}));
  EXPECT_EQ(Matches("\\s+$", "a  \nb  "), (Strings{"  ", "  "}));
  EXPECT_EQ(Matches("\\Aa|b\\z", "a\nab"), (Strings{"a", "b"}));
}

TEST(Oniguruma, MakesDotMatchNewlinesWithM) {
  EXPECT_EQ(Matches("a.", "a\nab"), (Strings{"ab"}));
  EXPECT_EQ(Matches("(?m:a.)", "a\nab"), (Strings{"a\n", "ab"}));
  EXPECT_EQ(Matches("(?m)a(?-m:.)", "a\nab"), (Strings{"ab"}));
}

TEST(Oniguruma, ClassesNestAndTakeBrackets) {
  // The pattern of BLOOM: an unescaped [ opens a class within the class.
  EXPECT_EQ(Matches(" ?[^(\\s|[.,!?])]+", "ab, c|d (e"), (Strings{"ab", " c", "d", "e"}));
  EXPECT_EQ(Matches("[]a]+", "]a["), (Strings{"]a"}));
  EXPECT_EQ(Matches("[a-c[x-z]-]+", "b-y-d"), (Strings{"b-y-"}));
  EXPECT_EQ(Matches("[[:digit:]_]+", "12_\u0663x"), (Strings{"12_\u0663"}));
  EXPECT_EQ(Matches("[\\]\\[\\\\\\^-]+", "[]^-\\a"), (Strings{"[]^-\\"}));
  EXPECT_EQ(Matches("[\\x41-\\u0043\\x{44}]+", "ABCDE"), (Strings{"ABCD"}));
}

TEST(Oniguruma, WordsDigitsAndProperties) {
  EXPECT_EQ(Matches("\\w+", "a\u0301_9 \u2160-\u203F"), (Strings{"a\u0301_9", "\u2160", "\u203F"}));
  EXPECT_EQ(Matches("\\W", "a-\u0301"), (Strings{"-"}));
  EXPECT_EQ(Matches("\\d+", "1\u0663\u00BD"), (Strings{"1\u0663"}));
  EXPECT_EQ(Matches("\\h+", "fFg"), (Strings{"fF"}));
  EXPECT_EQ(Matches("\\bab\\b", "ab cab \u00E9ab ab"), (Strings{"ab", "ab"}));
  EXPECT_EQ(Matches("\\p{Han}+", "a\u6771\u4EAC\u3002"), (Strings{"\u6771\u4EAC"}));
  EXPECT_EQ(Matches("\\p{^L}\\P{L}", "a12"), (Strings{"12"}));
  EXPECT_EQ(Matches("\\p{Uppercase_Letter}[\\p{ll}]", "AaA"), (Strings{"Aa"}));
  EXPECT_EQ(Matches("\\p{Alpha}\\p{Zs}", "a\u3000"), (Strings{"a\u3000"}));
}

TEST(Oniguruma, QuantifiersStack) {
  EXPECT_EQ(Matches("a{,2}b", "aaab"), (Strings{"aab"}));
  EXPECT_EQ(Matches("a{2}?b", "aab b"), (Strings{"aab", "b"}));  // optional, not lazy
  EXPECT_EQ(Matches("(?:ab){1,2}+c", "ababababc"), (Strings{"ababababc"}));
  EXPECT_EQ(Matches("a+?", "aa"), (Strings{"a", "a"}));
  EXPECT_EQ(Matches("a++a", "aaa"), Strings{});
  EXPECT_EQ(Matches("a{x}", "a{x}"), (Strings{"a{x}"}));
  EXPECT_EQ(Matches("(?<word>a)(b)?", "ab"), (Strings{"ab"}));
}

TEST(Oniguruma, EmptyMatchesStandBetweenCharacters) {
  EXPECT_EQ(Matches("x*", "a\u00E9x"), (Strings{"", "", "x"}));
}

TEST(Oniguruma, RefusesWhatItCannotTranslate) {
  for (const std::string_view pattern :
       {"(a)\\1", "\\k<x>", "\\g<x>", "(?(1)a|b)", "(?~a)", "[a&&b]", "[a[^b]]", "a\\K", "\\G",
        "\\X", "(?x) a", "\\p{Nothing_At_All}", "\\xE4", "(*FAIL)", "\\pL"}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().code, Code::kUnsupported) << regex.error().message;
  }
  for (const std::string_view pattern : {"(", ")", "[", "[]", "a(?:b", "*", "a|+", "[b-a]", "\\",
                                         "\\p{L", "(?<n", "\\x{110000}", "\\x{d800}"}) {
    const auto regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().code, Code::kInvalidArgument) << regex.error().message;
  }
  EXPECT_FALSE(Regex::Compile(std::string(5000, '(') + std::string(5000, ')')).ok());
  EXPECT_FALSE(Regex::Compile("((((a{999}){999}){999}){999})").ok());
  EXPECT_FALSE(Regex::Compile(std::string(100'000, 'a')).ok());
}

TEST(Regex, AHostilePatternStopsAtItsBudget) {
  const auto regex = Regex::Compile("(a|aa)+$");
  ASSERT_TRUE(regex.ok());
  const std::string text = std::string(200, 'a') + "b";
  WorkBudget budget(0);
  for (int left = WorkBudget::kFailedMatches; left > 0; --left) {
    EXPECT_FALSE(budget.spent());
    EXPECT_EQ(budget.matches_left(), left);
    EXPECT_EQ(regex->Find(text, 0, budget), std::nullopt);
  }
  EXPECT_TRUE(budget.spent());
  EXPECT_EQ(regex->Find("aa", 0, budget), std::nullopt);
}

}  // namespace
}  // namespace mach::text
