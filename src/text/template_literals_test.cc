#include "text/template_literals.h"

#include <gtest/gtest.h>

namespace mach::text {
namespace {

using Strings = std::vector<std::string>;

TEST(TemplateLiterals, TextAndStringsButNotCode) {
  EXPECT_EQ(TemplateLiterals("<s>{# <c> #}{%- if role == 'u\\n\\'' %}{{ think ~ \"<t>}}\" }}</s>"),
            (Strings{"<s>", "u\n'", "<t>}}", "</s>"}));
}

TEST(TemplateLiterals, WhateverEndsEarly) {
  EXPECT_EQ(TemplateLiterals("a{{ 'b"), (Strings{"a", "b"}));
  EXPECT_EQ(TemplateLiterals("a{# b"), (Strings{"a"}));
  EXPECT_EQ(TemplateLiterals("a{%"), (Strings{"a"}));
  EXPECT_EQ(TemplateLiterals("a{{ 'b\\"), (Strings{"a", "b\\"}));
  EXPECT_EQ(TemplateLiterals(""), Strings{});
  EXPECT_EQ(TemplateLiterals("{"), (Strings{"{"}));
}

}  // namespace
}  // namespace mach::text
