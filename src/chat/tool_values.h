// Argument values of tool calls: raw text to JSON, by the tool's schema.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chat/schema_types.h"
#include "json/value.h"

namespace mach::chat {

// Longer text is not null, whatever white space it consists of.
inline constexpr size_t kMaxNullBytes = 64;
bool AllowsNull(const std::vector<ValueType>& types);

// The value that the text stands for: null where it says null and the types allow that, else the
// first type it can be read as. No types, or none that fits: the text itself as a string. A string
// is never read as anything else where the schema has string first. Objects and arrays may be
// spelled as Python literals.
json::Value ValueFromText(std::string_view text, const std::vector<ValueType>& types);

// Types of one parameter of one tool; empty where the tool or the parameter is unknown. tools: of
// a request, {"type":"function","function":{"name","parameters"}} each.
class ToolSchemas {
 public:
  ToolSchemas() = default;
  explicit ToolSchemas(const json::Array& tools);
  bool Has(std::string_view tool) const;
  // False only where the tool lists its parameters and this is none of them.
  bool MayHave(std::string_view tool, std::string_view parameter) const;
  std::vector<ValueType> Types(std::string_view tool, std::string_view parameter) const;

 private:
  struct Parameter {
    std::vector<ValueType> types;
    bool listed = false;
  };
  using Tool = std::map<std::string, Parameter, std::less<>>;
  // Of several tools of one name the first that lists parameters lists those of the name; types of
  // others are known all the same.
  std::map<std::string, Tool, std::less<>> tools_;
};

}  // namespace mach::chat
