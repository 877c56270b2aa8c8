// Character classes and normal forms, as the tokenizers library sees them. Unicode 14
// (utf8proc 2.8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/work_budget.h"

namespace mach::text {

bool IsWhiteSpace(uint32_t c);   // the property White_Space
bool IsNumeric(uint32_t c);      // general category N*
bool IsMark(uint32_t c);         // general category M*
bool IsPunctuation(uint32_t c);  // P*, and the ASCII punctuation that is a symbol ($+<=>^`|~)
bool IsWord(uint32_t c);         // \w of UTS #18: Alphabetic, M*, Nd, Pc, Join_Control

void AppendLower(std::string& out, uint32_t c);  // character by character: no final sigma

// Code point that ends before `at`, or starts at `at`. REQUIRES valid UTF-8 and a character there.
uint32_t CodePointBefore(std::string_view text, size_t at);
uint32_t CodePointAt(std::string_view text, size_t at);

// Bytes of the character with this first byte. REQUIRES valid UTF-8.
inline size_t CharLength(char lead) {
  const auto b = static_cast<uint8_t>(lead);
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

// Bytes of white space at the start, or the end.
size_t LeadingSpace(std::string_view text);
size_t TrailingSpace(std::string_view text);

enum class NormalForm : unsigned char { kNfc, kNfd, kNfkc, kNfkd };

// REQUIRES valid UTF-8. Where the budget is spent, the rest stays as it is.
std::string Normalize(std::string_view text, NormalForm form, WorkBudget& budget);

// Length of the first part of `text` (not empty) that normalizes on its own: no character after it
// can combine with one in it.
size_t NormalizationUnit(std::string_view text, NormalForm form);

}  // namespace mach::text
