// Text to Value. Both parsers are strict: UTF-8 only, no comments, nothing after the value.
#pragma once

#include <string_view>

#include "json/value.h"

namespace mach::json {

struct ParseOptions {
  size_t max_depth = 64;     // of nested arrays and objects
  bool unique_keys = false;  // a repeated key is an error
  // NaN, Infinity and -Infinity are numbers, as Python's json module writes them: for files of
  // models. The typed reads of value.h refuse them.
  bool python_numbers = false;
};

// For requests and small files. The error gives the byte offset.
Result<Value> Parse(std::string_view text, const ParseOptions& options = {});

// For large files (tokenizer.json, safetensors headers): several times faster. Integers beyond
// 64 bits and deep nesting go through Parse, with max_depth.
Result<Value> ParseLarge(std::string_view text, const ParseOptions& options = {});

}  // namespace mach::json
