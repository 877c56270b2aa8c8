// Value to text.
#pragma once

#include <string>

#include "json/value.h"

namespace mach::json {

struct WriteOptions {
  int indent = -1;            // spaces a level; -1 is one line
  bool ensure_ascii = false;  // \uXXXX for everything beyond ASCII
  bool sort_keys = false;
  std::string_view item_separator = ",";
  std::string_view key_separator = ":";
};

// Invalid UTF-8 in strings becomes U+FFFD; NaN and infinities, which JSON lacks, become null.
std::string Write(const Value& value, const WriteOptions& options = {});

// The quoted, escaped form of one string, and the text of one number (as Python's repr writes it:
// shortest that reads back the same, 1.0, 1e-05, 1e+16).
void AppendString(std::string& out, std::string_view text, bool ensure_ascii = false);
std::string FormatDouble(double d);

}  // namespace mach::json
