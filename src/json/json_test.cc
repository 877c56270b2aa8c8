#include <cmath>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "json/parse.h"
#include "json/value.h"
#include "json/write.h"

namespace mach::json {
namespace {

TEST(Json, RoundTripKeepsOrderAndNumbers) {
  const std::string text =
      R"({"z":1,"a":[true,null,-2.5,1e-05,1.0,1e+16,123456789012345678901234567890,"\u00e9\n"],"m":{}})";
  const auto value = Parse(text);
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(Write(*value),
            "{\"z\":1,\"a\":[true,null,-2.5,1e-05,1.0,1e+16,123456789012345678901234567890,"
            "\"\u00e9\\n\"],\"m\":{}}");
  EXPECT_EQ(*ParseLarge(text), *value);
}

TEST(Json, RepeatedKeysKeepFirstPlaceAndLastValue) {
  for (const auto& parse : {Parse, ParseLarge}) {
    EXPECT_EQ(Write(*parse(R"({"a":1,"b":2,"a":3})", {})), R"({"a":3,"b":2})");
    std::string many = "{";
    for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
    const auto value = parse(many + R"("k7":8,"k99":9})", {});
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(value->AsObject().size(), 100u);
    EXPECT_EQ(value->Find("k7")->AsInt(), 8);
    EXPECT_EQ(value->Find("k99")->AsInt(), 9);
  }
}

TEST(Json, RepeatedKeysAreRefusedOnRequest) {
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  for (const auto& parse : {Parse, ParseLarge}) {
    for (const std::string& text :
         {std::string(R"({"a":1,"b":2,"a":3})"), std::string(R"([{"a":{"a":1,"a":1}}])"),
          many + R"("a":1,"a":2})"}) {
      const auto value = parse(text, {.unique_keys = true});
      ASSERT_FALSE(value.ok()) << text;
      EXPECT_NE(value.error().message.find("the key 'a' is there twice"), std::string::npos)
          << value.error().message;
    }
    EXPECT_TRUE(parse(many + R"("a":{"a":1}})", {.unique_keys = true}).ok());
  }
}

TEST(Json, TextDoesNotEndAtANul) {
  for (const std::string& text : {std::string("[1]\0", 4), std::string("[1]\0[2]", 7),
                                  std::string("\0[1]", 4), std::string("[\0]", 3)}) {
    for (const auto& parse : {Parse, ParseLarge}) {
      const auto value = parse(text, {});
      ASSERT_FALSE(value.ok()) << Write(text);
      const std::string at = "byte " + std::to_string(text.find('\0'));
      EXPECT_NE(value.error().message.find(at), std::string::npos) << value.error().message;
    }
  }
}

TEST(Json, BadTextIsRefusedWithItsOffset) {
  for (const char* text : {"", "[", "nul", "{\"a\":}", "[1] x", "NaN", "\"\\ud800\"", "1e999",
                           "\xEF\xBB\xBF[", "\"\xC4\xE3\"", "{'a':1}", "[1,]"}) {
    for (const auto& parse : {Parse, ParseLarge}) {
      const auto value = parse(text, {});
      ASSERT_FALSE(value.ok()) << text;
      EXPECT_EQ(value.error().code, Code::kInvalidArgument);
      EXPECT_NE(value.error().message.find("invalid JSON"), std::string::npos)
          << value.error().message;
    }
  }
  EXPECT_NE(Parse("[1, x]").error().message.find("byte 4"), std::string::npos)
      << Parse("[1, x]").error().message;
}

TEST(Json, LargeObjectsKeepOrderAndPlaces) {
  Object object;
  constexpr int kKeys = 500000;  // the square of it takes longer than a test may
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kKeys; ++i) object.Set("key" + std::to_string(i), i + round);
  }
  ASSERT_EQ(object.size(), static_cast<size_t>(kKeys));
  int at = 0;
  for (const Member& member : object) EXPECT_EQ(member.value, Value(++at));
  object.Append("appended", 7);
  EXPECT_EQ(*object.Find("appended"), Value(7));
  const Object copy = object;
  EXPECT_EQ(copy, object);
  EXPECT_EQ(*copy.Find("key499999"), Value(500000));
  EXPECT_TRUE(object.Erase("key0"));
  EXPECT_FALSE(object.Erase("key0"));
  EXPECT_EQ(*object.Find("key5"), Value(6));
  object.Set("key5", "x");
  EXPECT_EQ(*object.Find("key5"), Value("x"));
  EXPECT_EQ(object.Find("key0"), nullptr);
  Object moved = std::move(object);
  moved.Set("key7", "y");
  EXPECT_EQ(*moved.Find("key7"), Value("y"));
}

TEST(Json, PythonNumbersAreReadWhereTheyAreAllowedAndNeverAsATypedOne) {
  constexpr std::string_view kText =
      R"({"a": NaN, "b": [Infinity, -Infinity, 1], "python:NaN": "NaN \" Infinity", "c": 2})";
  EXPECT_FALSE(Parse(kText).ok());
  EXPECT_FALSE(Parse(R"({"a": Nan})", {.python_numbers = true}).ok());
  for (const auto& parsed :
       {Parse(kText, {.python_numbers = true}), ParseLarge(kText, {.python_numbers = true})}) {
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_TRUE(std::isnan(parsed->Find("a")->AsDouble()));
    EXPECT_EQ(parsed->Find("b")->AsArray()[0].AsDouble(), INFINITY);
    EXPECT_EQ(parsed->Find("b")->AsArray()[1].AsDouble(), -INFINITY);
    EXPECT_EQ(parsed->Find("python:NaN")->AsString(), "NaN \" Infinity");
    EXPECT_EQ(*GetInt(*parsed, "c"), 2);
    EXPECT_EQ(GetDouble(*parsed, "a").error().message, "'a' is NaN, expected a finite number");
    EXPECT_FALSE(GetInt(*parsed, "a").ok());
  }
}

TEST(Json, StringsThatBeginAsMarksOfPythonNumbersStayStrings) {
  const auto parsed = Parse(R"([NaN, "python:NaN", "pythonpython::NaN", "python:::", "python"])",
                            {.python_numbers = true});
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(std::isnan(parsed->AsArray()[0].AsDouble()));
  EXPECT_EQ(parsed->AsArray()[1].AsString(), "python:NaN");
  EXPECT_EQ(parsed->AsArray()[2].AsString(), "pythonpython::NaN");
  EXPECT_EQ(parsed->AsArray()[3].AsString(), "python:::");
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(Parse(nested(64)).ok());
  EXPECT_FALSE(Parse(nested(65)).ok());
  EXPECT_FALSE(ParseLarge(nested(65)).ok());
  EXPECT_FALSE(Parse(std::string(1000000, '[')).ok());
}

TEST(Json, WriterEscapesIndentsAndSorts) {
  const Value value = Object{{"b", Array{1, "x\x01\"\\"}}, {"a", Object{}}, {"c", Array{}}};
  EXPECT_EQ(Write(value, {.indent = 2, .sort_keys = true, .key_separator = ": "}),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"x\\u0001\\\"\\\\\"\n  ],\n  \"c\": []\n}");
  EXPECT_EQ(Write("\u00e9\U0001F600", {.ensure_ascii = true}), R"("\u00e9\ud83d\ude00")");
  EXPECT_EQ(Write("a\xFFz"), "\"a\uFFFDz\"");
  EXPECT_EQ(Write(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(Write(1e22), "1e+22");
  EXPECT_EQ(Write(123456.0), "123456.0");
  EXPECT_EQ(Write(uint64_t{18446744073709551615u}), "18446744073709551615");
}

TEST(Json, TypedReadsNameTheKeyAndWhatWasFound) {
  const Value v = *Parse(R"({"n":8.0,"s":"x","null":null,"f":2.5})");
  EXPECT_EQ(*GetInt(v, "n"), 8);
  EXPECT_EQ(*GetInt(v, "null", 3), 3);
  EXPECT_EQ(*GetDouble(v, "n"), 8.0);
  EXPECT_EQ(GetInt(v, "f").error().message, "'f' is number, expected an integer");
  EXPECT_EQ(GetBool(v, "s").error().message, "'s' is string, expected a boolean");
  EXPECT_EQ(GetString(v, "gone").error().message, "'gone' is missing, expected a string");
}

TEST(Utf8, DecodesRepairsAndHoldsBack) {
  EXPECT_EQ(utf8::Repair("a\xE2\x82"
                         "b\xF0\x9F\x98\x80\xC0\xAF\xED\xA0\x80"),
            "a\uFFFDb\U0001F600\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(utf8::IncompleteSuffix("a\xE2\x82"), 2u);
  EXPECT_EQ(utf8::IncompleteSuffix("a\xF0\x9F\x98"), 3u);
  EXPECT_EQ(utf8::IncompleteSuffix("a\xE2\x82\xAC"), 0u);
  EXPECT_EQ(utf8::IncompleteSuffix("\x80\x80\x80"), 0u);
  EXPECT_EQ(utf8::IncompleteSuffix("\xE0\x80"), 0u);
  EXPECT_TRUE(utf8::IsValid("\u00e9"));
  EXPECT_FALSE(utf8::IsValid("\xC3"));
}

TEST(Json, MembersThatNobodyReadsAreNull) {
  constexpr std::string_view kMembers[] = {"a", "b"};
  const ParseOptions options{.max_depth = 4, .unique_keys = true, .members = kMembers};
  const auto value = Parse(
      R"({"x":[1,{"a":[2.5]}],"a":{"x":[3]},"y":"text","b":1,"z":{},"x2":12345678901234567890})",
      options);
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(Write(*value), R"({"x":null,"a":{"x":[3]},"y":null,"b":1,"z":null,"x2":null})");
  // They are read as strictly as the others.
  for (const char* wrong : {R"({"x":[1,})", R"({"x":[[[[1]]]]})", R"({"x":[1]]})", R"({"x":tru})",
                            R"({"a":1,"x":2,"a":3})"}) {
    EXPECT_FALSE(Parse(wrong, options).ok()) << wrong;
  }
  EXPECT_TRUE(Parse(R"({"x":[[[1]]]})", options).ok());
  EXPECT_EQ(Write(*Parse(R"([{"x":1}])", options)), R"([{"x":1}])");
  // Enough of their names are kept to tell of them.
  std::string many = "{";
  for (int i = 0; i < 1000; ++i) many += "\"m" + std::to_string(i) + "\":[0],";
  const auto counted = Parse(many + "\"b\":2}", options);
  ASSERT_TRUE(counted.ok());
  EXPECT_EQ(counted->AsObject().size(), 65u);
  EXPECT_EQ(*counted->Find("b"), Value(2));
}

}  // namespace
}  // namespace mach::json
