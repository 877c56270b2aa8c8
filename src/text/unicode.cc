#include "text/unicode.h"

#include <algorithm>
#include <vector>

#include <utf8proc.h>

#include "base/check.h"
#include "base/utf8.h"
#include "text/regex.h"

namespace mach::text {
namespace {

utf8proc_category_t Category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsHangulJamoTail(uint32_t c) { return c >= 0x1160 && c <= 0x11FF; }

int Options(NormalForm form) {
  switch (form) {
    case NormalForm::kNfc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case NormalForm::kNfd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case NormalForm::kNfkc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case NormalForm::kNfkd:
      break;
  }
  return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
}

// Whether `c` neither changes nor combines with what stands before it, in any normal form.
bool IsInert(uint32_t c) {
  if (c < 0x80) return true;
  const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  return p->combining_class == 0 && p->decomp_seqindex == UINT16_MAX && !IsMark(c) &&
         !IsHangulJamoTail(c) && !(c >= 0xAC00 && c <= 0xD7A3);
}

// In NFC all characters below U+0300 are, and Hangul syllables.
bool IsInert(uint32_t c, NormalForm form) {
  return (form == NormalForm::kNfc && (c < 0x300 || (c >= 0xAC00 && c <= 0xD7A3))) || IsInert(c);
}

// Canonical ordering (Unicode 3.11, D109): characters that combine stand by their class, those of
// one class as they came. utf8proc's own moves each past its neighbours, which takes the square of
// a run.
void SortCombining(std::vector<utf8proc_int32_t>& points) {
  const auto rank = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = points.begin(); begin != points.end();) {
    if (rank(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, points.end(), [&](auto c) { return rank(c) == 0; });
    std::stable_sort(begin, end, [&](auto a, auto b) { return rank(a) < rank(b); });
    begin = end;
  }
}

void AppendMapped(std::string& out, std::string_view text, NormalForm form) {
  constexpr size_t kMostParts = 32;  // of a character; the longest decomposition has 18
  const auto options = static_cast<utf8proc_option_t>(Options(form));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size(); at += CharLength(text[at])) {
    utf8proc_int32_t parts[kMostParts];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(CodePointAt(text, at)), parts,
                                kMostParts, options, &boundary);
    MACH_CHECK(n >= 0 && n <= static_cast<utf8proc_ssize_t>(kMostParts));
    points.insert(points.end(), parts, parts + n);
  }
  SortCombining(points);
  const utf8proc_ssize_t n = utf8proc_normalize_utf32(
      points.data(), static_cast<utf8proc_ssize_t>(points.size()), options);
  MACH_CHECK(n >= 0);
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    utf8::Append(out, static_cast<uint32_t>(points[static_cast<size_t>(i)]));
  }
}

// Whether the decomposition of `c` starts with a character that combines with none before it.
bool StartsUnit(uint32_t c, NormalForm form) {
  if (c < 0x80) return true;
  utf8proc_int32_t parts[32];
  int last_class = UTF8PROC_BOUNDCLASS_START;
  const int options = (Options(form) & ~UTF8PROC_COMPOSE) | UTF8PROC_DECOMPOSE;
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                              static_cast<utf8proc_option_t>(options), &last_class);
  if (n <= 0) return false;
  const auto first = static_cast<uint32_t>(parts[0]);
  return utf8proc_get_property(parts[0])->combining_class == 0 && !IsMark(first) &&
         !IsHangulJamoTail(first);
}

}  // namespace

bool IsWhiteSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsNumeric(uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t k = Category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool IsMark(uint32_t c) {
  if (c < 0x300) return false;
  const utf8proc_category_t k = Category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

bool IsPunctuation(uint32_t c) {
  if (c < 0x80) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
  }
  const utf8proc_category_t k = Category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool IsWord(uint32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  }
  static const Regex& word =
      *new Regex(Regex::Builtin("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]"));
  std::string one;
  utf8::Append(one, c);
  WorkBudget budget(one.size());
  return word.Find(one, 0, budget).has_value();
}

void AppendLower(std::string& out, uint32_t c) {
  if (c == 0x130) {  // the only character whose lower case has two
    out += "i\xCC\x87";
    return;
  }
  utf8::Append(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

uint32_t CodePointAt(std::string_view text, size_t at) { return utf8::Decode(text, at).code_point; }

uint32_t CodePointBefore(std::string_view text, size_t at) {
  size_t start = at - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
  return CodePointAt(text, start);
}

size_t LeadingSpace(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && IsWhiteSpace(CodePointAt(text, at))) at += CharLength(text[at]);
  return at;
}

size_t TrailingSpace(std::string_view text) {
  size_t at = text.size();
  while (at > 0 && IsWhiteSpace(CodePointBefore(text, at))) {
    do --at;
    while ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  }
  return text.size() - at;
}

std::string Normalize(std::string_view text, NormalForm form, WorkBudget& budget) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;                         // in out already
  size_t before = std::string_view::npos;  // where the inert character before `at` starts
  for (size_t at = 0; at < text.size();) {
    if (static_cast<uint8_t>(text[at]) < 0x80 || IsInert(CodePointAt(text, at), form)) {
      before = at;
      at += CharLength(text[at]);
      if (budget.Cancelled(1)) return out;
      continue;
    }
    const size_t begin = before == std::string_view::npos ? at : before;
    const size_t n = NormalizationUnit(text.substr(begin), form);
    out += text.substr(done, begin - done);
    const size_t written = out.size();
    AppendMapped(out, text.substr(begin, n), form);
    const size_t mapped = out.size() - written;
    if (mapped > n && !budget.Grow(mapped - n)) {
      out.resize(written);
      done = begin;
      break;
    }
    if (budget.Cancelled(n)) return out;
    done = at = begin + n;
    before = std::string_view::npos;
  }
  out += text.substr(done);
  return out;
}

size_t NormalizationUnit(std::string_view text, NormalForm form) {
  size_t at = CharLength(text[0]);
  while (at < text.size() && !StartsUnit(CodePointAt(text, at), form)) at += CharLength(text[at]);
  return at;
}

}  // namespace mach::text
