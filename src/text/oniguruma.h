// The pattern syntax of tokenizer files (Oniguruma 6.9, its own dialect, UTF-8) in terms of
// PCRE2's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mach::text {

// A pattern for PCRE2 with UTF, UCP and MULTILINE that matches the same. The differences it
// bridges: \s, \w, \d, \h, \b and POSIX classes (other sets), (?m) (dot matches newline), (?i)
// inside a group (a group of its own to the end), classes in classes, quantifiers after
// quantifiers, script names (PCRE2 would take script extensions). Captures become groups.
// kUnsupported names what has no counterpart: back references, calls, conditions, absent groups,
// intersections of classes, \K, \G, \X, extended mode. Not bridged: (?i) of a sequence that a
// single character folds to (ss and ß).
Result<std::string> TranslateOniguruma(std::string_view pattern);

}  // namespace mach::text
