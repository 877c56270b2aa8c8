// Methods of strings, lists, mappings and the like, as Python objects have them.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "jinja/value.h"

namespace mach::jinja {

struct Method {
  std::string_view name;
  NativeFunction call;  // null: the sandbox refuses it (it would change the object)
};

// Null where the type of the object has no such method.
const Method* FindMethod(const Value& object, std::string_view name);

std::span<const Method> StringMethods();       // text to text, pieces and positions
std::span<const Method> StringClassMethods();  // what its characters are, and formatting
std::span<const Method> ListMethods();
std::span<const Method> TupleMethods();
std::span<const Method> DictMethods();
std::span<const Method> LoopMethods();
std::span<const Method> NumberMethods();

// Whether Python objects of every type have this name, which begins with two underscores.
bool IsInternalName(const Value& object, std::string_view name);

}  // namespace mach::jinja
