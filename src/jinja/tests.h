// Tests: value is name(arguments).
#pragma once

#include <string_view>

#include "base/result.h"
#include "jinja/value.h"

namespace mach::jinja {

struct Test {
  std::string_view name;
  Result<bool> (*call)(Interpreter&, const Value& subject, const Arguments&);
};

// Null where no test has the name.
const Test* FindTest(std::string_view name);

}  // namespace mach::jinja
