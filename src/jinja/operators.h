// Python's operators on values: truth, equality, order, containment, arithmetic.
#pragma once

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/runtime.h"
#include "jinja/value.h"

namespace mach::jinja {

bool Truth(const Value& value);

Result<bool> Equal(Runtime& runtime, const Value& a, const Value& b);

// a < b. Errors where Python raises: unlike types, undefined.
Result<bool> Less(Runtime& runtime, const Value& a, const Value& b);

Result<bool> Compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b);

// item in container
Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item);

// Integers stay within 64 bits: an overflow is an error.
Result<Value> Binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b);
Result<Value> Negate(Runtime& runtime, const Value& a);

// object[start:stop:step], each part an integer or none.
Result<Value> Slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                    const Value& step);

// The item at a signed index, as Python counts; nothing outside.
std::optional<size_t> NormalizeIndex(int64_t index, size_t length);

// Text with & < > ' " as entities.
Value Escape(Runtime& runtime, const Text& text);

}  // namespace mach::jinja
