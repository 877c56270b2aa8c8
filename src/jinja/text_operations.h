// What filters and string methods share. Results keep the marks of what they take over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jinja/runtime.h"
#include "jinja/value.h"

namespace mach::jinja {

enum class Side : uint8_t { kLeft, kRight, kBoth };

// str.strip and its kin: white space, or the characters of `chars` unless that is null.
Value Strip(Runtime& runtime, const Text& text, const Text* chars, Side side);

// str.replace; a negative count replaces all.
Result<Value> Replace(Runtime& runtime, const Text& text, const Text& old, const Text& by,
                      int64_t count, bool safe);

// str.split and str.rsplit; a null separator is white space, a negative count no limit.
Result<std::vector<Value>> Split(Runtime& runtime, const Text& text, const Text* separator,
                                 int64_t count, bool from_right);

Result<std::vector<Value>> SplitLines(Runtime& runtime, const Text& text, bool keep_ends);

// Strings joined; the items are strings already.
Result<Value> Join(Runtime& runtime, const Text& separator, const std::vector<Value>& items,
                   bool safe);

// Filled with `fill` to `width` characters; kBoth centers.
Result<Value> Pad(Runtime& runtime, const Text& text, int64_t width, std::string_view fill,
                  Side fill_side);

// The result of a function of all characters, marked as a whole if any of text is marked.
Value Map(Runtime& runtime, const Text& text, std::string (*function)(std::string_view));

}  // namespace mach::jinja
