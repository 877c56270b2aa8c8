#include "jinja/unicode.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <utf8proc.h>

#include "base/utf8.h"
#include "jinja/special_case.h"

namespace mach::jinja::unicode {
namespace {

utf8proc_category_t Category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

const SpecialCase* FindSpecial(uint32_t c) {
  if (c < 0xDF) return nullptr;
  const auto* const end = std::end(kSpecialCases);
  const auto* const it =
      std::lower_bound(std::begin(kSpecialCases), end, c,
                       [](const SpecialCase& s, uint32_t v) { return s.code_point < v; });
  return it != end && it->code_point == c ? it : nullptr;
}

void AppendUpper(std::string& out, uint32_t c) {
  if (const SpecialCase* s = FindSpecial(c)) {
    out += s->upper;
  } else {
    utf8::Append(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void AppendTitle(std::string& out, uint32_t c) {
  if (const SpecialCase* s = FindSpecial(c)) {
    out += s->title;
  } else {
    utf8::Append(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool IsCaseIgnorable(uint32_t c) {
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2019;
  }
}

// Unicode's Final_Sigma: after a cased letter, and not before one, case-ignorable ones skipped.
bool IsFinalSigma(std::string_view text, size_t begin, size_t end) {
  bool before = false;
  for (size_t at = begin; at > 0;) {
    at = Previous(text, at);
    const uint32_t c = utf8::Decode(text, at).code_point;
    if (IsCaseIgnorable(c)) continue;
    before = IsCased(c);
    break;
  }
  if (!before) return false;
  for (size_t at = end; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    at += d.length;
    if (!IsCaseIgnorable(d.code_point)) return !IsCased(d.code_point);
  }
  return true;
}

void AppendLower(std::string& out, std::string_view text, size_t at, const utf8::Decoded& d) {
  const uint32_t c = d.code_point;
  if (c == 0x3A3) {
    utf8::Append(out, IsFinalSigma(text, at, at + d.length) ? 0x3C2 : 0x3C3);
  } else if (c == 0x130) {
    out += "i\u0307";
  } else {
    utf8::Append(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

// f(out, position, decoded) for each code point.
template <class F>
std::string Map(std::string_view text, F f) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    f(out, at, d);
    at += d.length;
  }
  return out;
}

}  // namespace

bool IsSpace(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool IsPrintable(uint32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool IsAlpha(uint32_t c) {
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}

bool IsDecimal(uint32_t c) { return Category(c) == UTF8PROC_CATEGORY_ND; }

bool IsDigit(uint32_t c) {
  return IsDecimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) ||
         (c >= 0x2488 && c <= 0x2490);
}

bool IsNumeric(uint32_t c) {
  const utf8proc_category_t category = Category(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool IsUpper(uint32_t c) { return Category(c) == UTF8PROC_CATEGORY_LU; }
bool IsLower(uint32_t c) { return Category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA; }
bool IsTitle(uint32_t c) { return Category(c) == UTF8PROC_CATEGORY_LT; }

std::string Upper(std::string_view text) {
  return Map(text, [](std::string& out, size_t, const utf8::Decoded& d) {
    AppendUpper(out, d.code_point);
  });
}

std::string Lower(std::string_view text) {
  return Map(text, [text](std::string& out, size_t at, const utf8::Decoded& d) {
    AppendLower(out, text, at, d);
  });
}

std::string Capitalize(std::string_view text) {
  return Map(text, [text](std::string& out, size_t at, const utf8::Decoded& d) {
    if (at == 0) {
      AppendTitle(out, d.code_point);
    } else {
      AppendLower(out, text, at, d);
    }
  });
}

std::string Title(std::string_view text) {
  bool after_cased = false;
  return Map(text, [text, &after_cased](std::string& out, size_t at, const utf8::Decoded& d) {
    if (after_cased) {
      AppendLower(out, text, at, d);
    } else {
      AppendTitle(out, d.code_point);
    }
    after_cased = IsCased(d.code_point);
  });
}

std::string SwapCase(std::string_view text) {
  return Map(text, [text](std::string& out, size_t at, const utf8::Decoded& d) {
    if (IsUpper(d.code_point)) {
      AppendLower(out, text, at, d);
    } else if (IsLower(d.code_point)) {
      AppendUpper(out, d.code_point);
    } else {
      utf8::Append(out, d.code_point);
    }
  });
}

std::string CaseFold(std::string_view text) {
  utf8proc_uint8_t* folded = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &folded, UTF8PROC_CASEFOLD);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(folded, &std::free);
  if (size < 0) return Lower(text);
  return std::string(reinterpret_cast<const char*>(folded), static_cast<size_t>(size));
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t Length(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t Offset(std::string_view text, size_t index) {
  size_t at = 0;
  while (at < text.size()) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) {
      if (index == 0) break;
      --index;
    }
    ++at;
  }
  return at;
}

size_t Previous(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace mach::jinja::unicode
