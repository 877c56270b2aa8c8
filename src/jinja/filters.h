// Filters: value | name(arguments).
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "jinja/value.h"

namespace mach::jinja {

struct Filter {
  std::string_view name;
  Result<Value> (*call)(Interpreter&, const Value& subject, Arguments&);
};

// Null where no filter has the name.
const Filter* FindFilter(std::string_view name);

// The item at a path of attributes, as filters name it: 'a.b.0', an index, or none for the item
// itself. fallback, unless null, stands for what is undefined on the way.
Result<Value> ItemByPath(Interpreter& interpreter, const Value& item, const Value& path,
                         const Value* fallback);

// The tables that FindFilter searches.
std::span<const Filter> TextFilters();
std::span<const Filter> NumberFilters();
std::span<const Filter> SequenceFilters();
std::span<const Filter> SelectionFilters();
std::span<const Filter> JsonFilters();

}  // namespace mach::jinja
