// Schemas of tools: what types parameters have.
#include <gtest/gtest.h>

#include "chat/tool_values.h"
#include "growth.h"
#include "json/parse.h"

namespace mach::growth {
namespace {

constexpr Input kSchemas[] = {
    {"properties",
     [](size_t n) {
       return R"({"properties":{)" + Numbered(n, R"("p@":{"type":"string"})") + "}}";
     },
     kManyKeys},
    {"types",
     [](size_t n) {
       return R"({"properties":{"p":{"type":["string")" + Times(n, R"(,"integer")") + "]}}}";
     }},
    {"enum",
     [](size_t n) { return R"({"properties":{"p":{"enum":[)" + Numbered(n, "\"@\"") + "]}}}"; }},
    {"anyOf",
     [](size_t n) {
       return R"({"properties":{"p":{"anyOf":[)" + Numbered(n, R"({"type":"string"})") + "]}}}";
     }},
    {"allOf",
     [](size_t n) {
       return R"({"properties":{"p":{"allOf":[)" + Numbered(n, R"({"type":"string"})") + "]}}}";
     }},
    {"oneOf of the parameters",
     [](size_t n) {
       return R"({"oneOf":[)" + Numbered(n, R"({"properties":{"p@":{"type":"string"}}})") + "]}";
     },
     kManyKeys},
    {"references to one",
     [](size_t n) {
       return R"({"$defs":{"d":{"type":"string"}},"properties":{)" +
              Numbered(n, R"("p@":{"$ref":"#/$defs/d"})") + "}}";
     },
     kManyKeys},
    {"references to as many",
     [](size_t n) {
       return R"({"$defs":{)" + Numbered(n, R"("d@":{"type":"string"})") + R"(},"properties":{)" +
              Numbered(n, R"("p@":{"$ref":"#/$defs/d@"})") + "}}";
     },
     kManyKeys},
    {"a long reference",
     [](size_t n) { return R"({"properties":{"p":{"$ref":"#)" + Times(n, "/a~1%41") + "\"}}}"; }},
    {"members of a property",
     [](size_t n) {
       return R"({"properties":{"p":{)" + Numbered(n, R"("k@":1)") + R"(,"type":"string"}}})";
     },
     kManyKeys},
};

TEST(SchemaGrowth, Types) {
  for (const Input& schema : kSchemas) {
    ExpectLinear(schema.name, schema.most, [&](size_t n) -> Work {
      return [parsed = json::Parse(schema.make(n))] {
        return parsed.ok() && !chat::TypesOfParameters(*parsed).empty();
      };
    });
  }
}

// What a parser of calls asks of n tools, and of n parameters of one.
TEST(SchemaGrowth, Lookups) {
  const auto row = [](std::string_view name, std::string (*tools)(size_t n)) {
    ExpectLinear(name, kManyKeys, [&](size_t n) -> Work {
      const auto parsed = json::Parse(tools(n));
      MACH_CHECK(parsed.ok());
      return [n, schemas = chat::ToolSchemas(parsed->AsArray())] {
        size_t found = 0;
        for (size_t i = 0; i < n; ++i) {
          const std::string number = std::to_string(i);
          const std::string tool = schemas.Has("f" + number) ? "f" + number : "f";
          const bool may = schemas.MayHave(tool, "p" + number);
          found += may && !schemas.Types(tool, "p" + number).empty() ? 1 : 0;
        }
        return found == n;
      };
    });
  };
  row("parameters", [](size_t n) {
    return R"([{"name":"f","parameters":{"properties":{)" +
           Numbered(n, R"("p@":{"type":"string"})") + "}}}]";
  });
  row("tools", [](size_t n) {
    return "[" +
           Numbered(n, R"({"name":"f@","parameters":{"properties":{"p@":{"type":"string"}}}})") +
           "]";
  });
}

}  // namespace
}  // namespace mach::growth
