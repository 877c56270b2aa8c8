// What a JSON schema says about the types of a function's parameters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "json/value.h"

namespace mach::chat {

enum class ValueType : unsigned char {
  kString,
  kInteger,
  kNumber,
  kBoolean,
  kNull,
  kObject,
  kArray
};

// The types that each parameter may have, in the schema's order; empty: it does not say.
// parameters: the schema of the arguments as a whole.
//
// "type" (a name or a list), "enum", "const", "nullable", "anyOf" and "oneOf" (unions), "allOf" (an
// intersection), and "$ref" within `parameters`: a JSON pointer ("#/$defs/NAME", with ~0, ~1 and
// %XX), chains included. A reference that leads nowhere, outside, or back to itself says nothing.
// Parameters are also found behind "$ref", "allOf", "anyOf" and "oneOf" of `parameters`. Time is
// bounded: what a schema says beyond that is not read.
using ParameterTypes = std::vector<std::pair<std::string, std::vector<ValueType>>>;
ParameterTypes TypesOfParameters(const json::Value& parameters);

}  // namespace mach::chat
