// Text to Value. Both parsers are strict: UTF-8 only, no comments, nothing after the value.
#pragma once

#include <span>
#include <string_view>

#include "json/value.h"

namespace mach::json {

struct ParseOptions {
  size_t max_depth = 64;     // of nested arrays and objects
  bool unique_keys = false;  // a repeated key is an error
  // NaN, Infinity and -Infinity are numbers, as Python's json module writes them: for files of
  // models. The typed reads of value.h refuse them.
  bool python_numbers = false;
  // Where this is not empty, the members of the outermost object that it does not name are null
  // values, whatever they are in the text, and after some only counted: what nobody reads takes no
  // memory. Their syntax and depth are checked as everything's. Parse only.
  std::span<const std::string_view> members = {};
};

// For requests and small files. The error gives the byte offset.
Result<Value> Parse(std::string_view text, const ParseOptions& options = {});

// For large files (tokenizer.json, safetensors headers): several times faster. Integers beyond
// 64 bits and deep nesting go through Parse, with max_depth.
Result<Value> ParseLarge(std::string_view text, const ParseOptions& options = {});

}  // namespace mach::json
