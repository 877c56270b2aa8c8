// Template source to a syntax tree, with Jinja2's grammar and precedences.
#pragma once

#include <string_view>

#include "base/result.h"
#include "jinja/ast.h"

namespace mach::jinja {

// kUnsupported: a statement that Jinja2 has and we lack; kCorrupt: anything else that does not
// parse, and nesting deeper than 100 levels. The message gives the line.
Result<Tree> Parse(std::string_view source);

}  // namespace mach::jinja
