#include "chat/schema_types.h"

#include <gtest/gtest.h>

#include "chat/output_parser.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::chat {
namespace {

// "NAME: TYPE TYPE" of each parameter.
std::string Types(const std::string& schema) {
  std::string out;
  const auto value = json::Parse(schema);
  EXPECT_TRUE(value.ok()) << schema;
  for (const auto& [name, types] : TypesOfParameters(*value)) {
    static constexpr std::string_view kNames[] = {"string", "integer", "number", "boolean",
                                                  "null",   "object",  "array"};
    out += (out.empty() ? "" : "; ") + name + ":";
    for (const ValueType type : types) {
      out += " " + std::string(kNames[static_cast<size_t>(type)]);
    }
  }
  return out;
}

std::string TypesOfA(const std::string& schema, const std::string& more = "") {
  return Types(R"({"type":"object","properties":{"a":)" + schema + "}" + more + "}");
}

TEST(SchemaTypes, ReferencesAreFollowed) {
  const std::string defs = R"(,"$defs":{"n":{"type":"integer"},"m":{"$ref":"#/$defs/n"},
      "a/b":{"type":"boolean"},"c~d":{"type":"array"},"loop":{"$ref":"#/$defs/pool"},
      "pool":{"$ref":"#/$defs/loop"},"tree":{"anyOf":[{"type":"array","items":
      {"$ref":"#/$defs/tree"}},{"$ref":"#/$defs/tree"},{"type":"string"}]}},
      "definitions":{"o":{"properties":{"x":{}}}},"list":[{"type":"number"}])";
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/n"})", defs), "a: integer");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/m"})", defs), "a: integer");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/a~1b"})", defs), "a: boolean");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/%24defs/c~0d"})", defs), "a: array");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/definitions/o"})", defs), "a: object");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/list/0"})", defs), "a: number");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/loop"})", defs), "a:");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/tree"})", defs), "a: array string");
  EXPECT_EQ(TypesOfA(R"({"$ref":"#"})", defs), "a: object");
  EXPECT_EQ(TypesOfA(R"({"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]})", defs),
            "a: integer null");
  for (const char* lost :
       {"#/$defs/none", "other.json#/x", "#anchor", "", "#/list/x", "#/list/7"}) {
    EXPECT_EQ(TypesOfA(R"({"$ref":")" + std::string(lost) + "\"}", defs), "a:") << lost;
  }
}

TEST(SchemaTypes, AllOfIsAnIntersectionAndAnyOfAUnion) {
  EXPECT_EQ(TypesOfA(R"({"allOf":[{"type":["string","integer"]},{"type":"integer"}]})"),
            "a: integer");
  EXPECT_EQ(TypesOfA(R"({"allOf":[{"type":"number"},{"type":"integer"}]})"), "a: integer");
  EXPECT_EQ(TypesOfA(R"({"allOf":[{"minimum":1},{"type":"integer"}]})"), "a: integer");
  EXPECT_EQ(TypesOfA(R"({"type":"string","allOf":[{"type":"object"}]})"), "a: string");
  EXPECT_EQ(TypesOfA(R"({"anyOf":[{"type":"integer"},{"type":"string"}]})"), "a: integer string");
  EXPECT_EQ(TypesOfA(R"({"oneOf":[{"const":1},{"enum":["x",null]}]})"), "a: integer string null");
  EXPECT_EQ(TypesOfA(R"({"type":["string","null"],"enum":["x"]})"), "a: string");
  EXPECT_EQ(TypesOfA(R"({"type":"integer","nullable":true})"), "a: integer null");
  EXPECT_EQ(TypesOfA(R"({"items":{"type":"string"}})"), "a: array");
  EXPECT_EQ(TypesOfA("true"), "a:");
}

TEST(SchemaTypes, ParametersBehindReferences) {
  EXPECT_EQ(Types(R"({"$ref":"#/$defs/A","$defs":{"A":{"allOf":[{"$ref":"#/$defs/B"},
      {"properties":{"y":{"type":"array"}}},{"$ref":"#/$defs/A"}]},
      "B":{"properties":{"x":{"type":"integer"}}}}})"),
            "x: integer; y: array");
}

// Each level doubles what is read, and each name is one of many.
TEST(SchemaTypes, WorkIsBounded) {
  std::string defs;
  for (int i = 0; i < 20000; ++i) {
    const std::string next = R"({"$ref":"#/$defs/d)" + std::to_string((i * 7 + 1) % 20000) + "\"}";
    defs += (i == 0 ? "" : ",") + ("\"d" + std::to_string(i)) + R"(":{"anyOf":[)" + next + "," +
            next + "]}";
  }
  EXPECT_EQ(TypesOfA(R"({"$ref":"#/$defs/d0"})", R"(,"$defs":{)" + defs + "}"), "a:");
}

TEST(SchemaTypes, OfToolsOfOneNameTheFirstThatListsParametersDecides) {
  const ToolSchemas schemas(json::Parse(R"([{"function":{"name":"f"}},
      {"name":"f","parameters":{"properties":{"a":{"type":"integer"}}}},
      {"name":"f","parameters":{"properties":{"a":{"type":"array"},"b":{"type":"object"}}}},
      {"name":"g"}])")
                                ->AsArray());
  EXPECT_TRUE(schemas.Has("f") && schemas.Has("g") && !schemas.Has("h"));
  EXPECT_TRUE(schemas.MayHave("f", "a") && schemas.MayHave("g", "a") && schemas.MayHave("h", "a"));
  EXPECT_FALSE(schemas.MayHave("f", "b"));
  EXPECT_EQ(schemas.Types("f", "a"), std::vector{ValueType::kInteger});
  EXPECT_EQ(schemas.Types("f", "b"), std::vector{ValueType::kObject});
  EXPECT_TRUE(schemas.Types("g", "a").empty() && schemas.Types("h", "a").empty());
}

TEST(SchemaTypes, EachOfManyDefinitionsIsFound) {
  std::string defs, properties;
  for (int i = 0; i < 3000; ++i) {
    const std::string number = std::to_string(i);
    const std::string comma = i == 0 ? "" : ",";
    defs += comma + "\"d" + number + R"(":{"type":"integer"})";
    properties += comma + "\"p" + number + R"(":{"$ref":"#/$defs/d)" + number + "\"}";
  }
  const auto parameters =
      json::Parse(R"({"properties":{)" + properties + R"(},"$defs":{)" + defs + "}}");
  const ParameterTypes types = TypesOfParameters(*parameters);
  ASSERT_EQ(types.size(), 3000u);
  for (const auto& [name, found] : types) {
    EXPECT_EQ(found, std::vector{ValueType::kInteger}) << name;
  }
}

TEST(SchemaTypes, NullComesBeforeString) {
  const ToolSchemas schemas(json::Parse(R"([{"type":"function","function":{"name":"f",
      "parameters":{"properties":{"s":{"type":["string","null"]},"t":{"type":"string"},
      "i":{"anyOf":[{"type":"integer"},{"type":"null"}]}}}}}])")
                                ->AsArray());
  const auto call = [&](const std::string& key, const std::string& text) {
    std::string results[2];
    for (const bool bytewise : {false, true}) {
      OutputParser parser({"", "", "<tool_call>", "</tool_call>", false, true}, {.tools = true},
                          schemas);
      OutputEvents events;
      const std::string whole = "<tool_call><function=f><parameter=" + key + ">\n" + text +
                                "\n</parameter></function></tool_call>";
      const size_t step = bytewise ? 1 : whole.size();
      for (size_t at = 0; at < whole.size(); at += step) {
        parser.Push(std::string_view(whole).substr(at, step), false, events);
      }
      parser.Finish(false, events);
      for (const OutputEvent& event : events) {
        if (event.kind == EventKind::kArguments) results[bytewise ? 1 : 0] += event.text;
      }
    }
    EXPECT_EQ(results[0], results[1]);
    return results[0];
  };
  EXPECT_EQ(call("s", "null"), R"({"s": null})");
  EXPECT_EQ(call("s", " null "), R"({"s": null})");
  EXPECT_EQ(call("s", "nullable"), R"({"s": "nullable"})");
  EXPECT_EQ(call("s", "nul"), R"({"s": "nul"})");
  EXPECT_EQ(call("s", ""), R"({"s": ""})");
  EXPECT_EQ(call("s", "null" + std::string(90, ' ')),
            R"({"s": "null)" + std::string(90, ' ') + "\"}");
  EXPECT_EQ(call("t", "null"), R"({"t": "null"})");
  EXPECT_EQ(call("i", "null"), R"({"i": null})");
}

}  // namespace
}  // namespace mach::chat
