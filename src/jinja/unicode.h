// What Python knows of characters: white space, case, categories, code points in UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mach::jinja::unicode {

bool IsSpace(uint32_t c);      // str.isspace
bool IsPrintable(uint32_t c);  // str.isprintable: repr leaves it as it is
bool IsAlpha(uint32_t c);
bool IsDecimal(uint32_t c);
bool IsDigit(uint32_t c);
bool IsNumeric(uint32_t c);
bool IsUpper(uint32_t c);  // upper or title case letters count as cased
bool IsLower(uint32_t c);
bool IsTitle(uint32_t c);
inline bool IsCased(uint32_t c) { return IsUpper(c) || IsLower(c) || IsTitle(c); }

// Full mappings ('ß' gives "SS", a final sigma "ς"). The text is valid UTF-8.
std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Capitalize(std::string_view text);
std::string Title(std::string_view text);
std::string SwapCase(std::string_view text);
std::string CaseFold(std::string_view text);

bool IsAscii(std::string_view text);
size_t Length(std::string_view text);  // code points
// Byte offset of code point `index`, or text.size() past the end.
size_t Offset(std::string_view text, size_t index);
// Offset of the code point before the one at `at`. REQUIRES: at > 0, a boundary.
size_t Previous(std::string_view text, size_t at);

}  // namespace mach::jinja::unicode
