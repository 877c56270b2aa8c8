// JSON: reading and writing.
#include <gtest/gtest.h>

#include "growth.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::growth {
namespace {

constexpr Input kJsonTexts[] = {
    {"array", [](size_t n) { return "[" + Numbered(n, "@") + "]"; }},
    {"array of arrays", [](size_t n) { return "[" + Numbered(n, "[@]") + "]"; }},
    {"array of objects", [](size_t n) { return "[" + Numbered(n, R"({"a":@})") + "]"; }},
    {"object", [](size_t n) { return "{" + Numbered(n, R"("k@":@)") + "}"; }, kManyKeys},
    {"one key again", [](size_t n) { return R"({"k":0)" + Times(n, R"(,"k":1)") + "}"; }},
    {"all keys again",
     [](size_t n) { return "{" + Numbered(n, R"("k@":1)") + "," + Numbered(n, R"("k@":2)") + "}"; },
     kManyKeys},
    {"object of objects", [](size_t n) { return "{" + Numbered(n, R"("k@":{"a":1,"b":2})") + "}"; },
     kManyKeys},
    {"string", [](size_t n) { return "\"" + Times(n, "a") + "\""; }},
    {"key", [](size_t n) { return "{\"" + Times(n, "a") + "\":1}"; }},
    {"keys that begin alike",
     [](size_t n) { return "{" + Numbered(n, R"("a rather long beginning of a key @":1)") + "}"; },
     kManyKeys},
    {"escapes", [](size_t n) { return "\"" + Times(n, R"(\n\"\\)") + "\""; }},
    {"surrogates", [](size_t n) { return "\"" + Times(n, R"(\ud83d\ude00)") + "\""; }},
    {"characters", [](size_t n) { return "\"" + Times(n, "ä€😀") + "\""; }},
    {"long integers", [](size_t n) { return "[1" + Times(n, ",1" + std::string(200, '0')) + "]"; }},
    {"fraction", [](size_t n) { return "0." + Times(n, "7"); }},
    {"exponents", [](size_t n) { return "[1" + Times(n, ",1e0000000001") + "]"; }},
    {"white space", [](size_t n) { return Times(n, " \n") + "[1" + Times(n, "\t") + "]"; }},
    {"nesting, again and again",
     [](size_t n) { return "[" + Numbered(n, Times(60, "[") + "@" + Times(60, "]")) + "]"; }},
};

TEST(JsonGrowth, Parse) {
  for (const Input& text : kJsonTexts) {
    ExpectLinear(text.name, text.most, [&](size_t n) -> Work {
      return
          [json = text.make(n)] { return json::Parse(json).ok() && json::ParseLarge(json).ok(); };
    });
  }
}

TEST(JsonGrowth, ParseWhatIsWrong) {
  const auto refused = [](std::string_view name, std::string (*make)(size_t n),
                          const json::ParseOptions& options) {
    ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
      return [&options, json = make(n)] { return !json::Parse(json, options).ok(); };
    });
  };
  refused("cut off", [](size_t n) { return "[" + Numbered(n, "@") + ","; }, {});
  refused("the last key twice",
          [](size_t n) { return "{" + Numbered(n, R"("k@":1)") + R"(,"k0":1})"; },
          {.unique_keys = true});
  refused("open brackets", [](size_t n) { return Times(n, "["); }, {});
}

TEST(JsonGrowth, PythonNumbers) {
  const auto parsed = [](std::string_view name, std::string (*make)(size_t n)) {
    ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
      return [json = make(n)] { return json::Parse(json, {.python_numbers = true}).ok(); };
    });
  };
  parsed("NaN", [](size_t n) { return "[0" + Times(n, ",NaN") + "]"; });
  parsed("strings that look like the mark",
         [](size_t n) { return "[NaN,\"python:" + Times(n, ":") + "\"]"; });
}

TEST(JsonGrowth, Write) {
  static constexpr json::WriteOptions kPretty{.indent = 2, .ensure_ascii = true, .sort_keys = true};
  for (const Input& text : kJsonTexts) {
    ExpectLinear(text.name, text.most, [&](size_t n) -> Work {
      return [value = json::Parse(text.make(n))] {
        return value.ok() && !json::Write(*value).empty() && !json::Write(*value, kPretty).empty();
      };
    });
  }
}

TEST(JsonGrowth, Objects) {
  ExpectLinear("Set", kManyKeys, [](size_t n) -> Work {
    return [n] {
      json::Object object;
      for (size_t i = 0; i < n; ++i) object.Set("k" + std::to_string(i), true);
      return object.size() == n;
    };
  });
  ExpectLinear("Find in what Set made", kManyKeys, [](size_t n) -> Work {
    json::Object object;
    for (size_t i = 0; i < n; ++i) object.Set("k" + std::to_string(i), true);
    return [n, object = std::make_shared<json::Object>(std::move(object))] {
      bool all = true;
      for (size_t i = 0; i < n; ++i) all = all && object->Find("k" + std::to_string(i)) != nullptr;
      return all;
    };
  });
}

}  // namespace
}  // namespace mach::growth
