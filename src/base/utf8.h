// Ranges of a text, and UTF-8 (RFC 3629): one code point at a time, invalid input included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mach {

// A range of a text's bytes, [begin, end).
struct Span {
  size_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

}  // namespace mach

namespace mach::utf8 {

inline constexpr uint32_t kReplacement = 0xFFFD;

struct Decoded {
  uint32_t code_point = kReplacement;
  uint8_t length = 1;  // bytes taken; of an invalid sequence, its maximal subpart (Unicode 3.9)
  bool valid = false;
  bool incomplete = false;  // the text ends within a sequence that is valid so far
};

// REQUIRES: at < text.size().
Decoded Decode(std::string_view text, size_t at);

// REQUIRES: code_point <= 0x10FFFF; surrogates are written as U+FFFD.
void Append(std::string& out, uint32_t code_point);

bool IsValid(std::string_view text);

// The text with each invalid part replaced by U+FFFD.
std::string Repair(std::string_view text);

// Bytes at the end (0 to 3) that begin a sequence which more bytes could complete.
size_t IncompleteSuffix(std::string_view text);

}  // namespace mach::utf8
