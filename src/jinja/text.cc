#include "jinja/text.h"

#include <algorithm>

#include "jinja/unicode.h"

namespace mach::jinja {

namespace {

constexpr size_t kPointsBetweenMarks = 256;

}  // namespace

size_t Text::Length() const {
  if (ascii) return bytes.size();
  const size_t marked = marks.empty() ? 0 : marks.back();
  return marks.size() * kPointsBetweenMarks +
         unicode::Length(std::string_view(bytes).substr(marked));
}

size_t Text::Offset(size_t code_point) const {
  if (ascii) return std::min(code_point, bytes.size());
  const size_t passed = std::min(code_point / kPointsBetweenMarks, marks.size());
  const size_t begin = passed == 0 ? 0 : marks[passed - 1];
  return begin + unicode::Offset(std::string_view(bytes).substr(begin),
                                 code_point - passed * kPointsBetweenMarks);
}

void Text::Measure(size_t from) {
  ascii = ascii && unicode::IsAscii(std::string_view(bytes).substr(from));
  if (ascii) return;
  for (size_t at = marks.empty() ? 0 : marks.back();;) {
    at += unicode::Offset(std::string_view(bytes).substr(at), kPointsBetweenMarks);
    if (at >= bytes.size()) return;
    marks.push_back(static_cast<uint32_t>(at));
  }
}

void TextBuilder::Append(const Text& text, size_t begin, size_t end) {
  const size_t base = bytes_.size();
  bytes_.append(text.bytes, begin, end - begin);
  auto it = std::upper_bound(text.plain.begin(), text.plain.end(), begin,
                             [](size_t at, const Span& s) { return at < s.end; });
  for (; it != text.plain.end() && it->begin < end; ++it) {
    Mark(base + std::max(it->begin, begin) - begin, base + std::min(it->end, end) - begin);
  }
}

void TextBuilder::AppendPlain(std::string_view bytes) {
  const size_t begin = bytes_.size();
  bytes_ += bytes;
  Mark(begin, bytes_.size());
}

void TextBuilder::MarkFrom(size_t begin) {
  while (!plain_.empty() && plain_.back().begin >= begin) plain_.pop_back();
  if (!plain_.empty() && plain_.back().end > begin) plain_.back().end = begin;
  Mark(begin, bytes_.size());
}

void TextBuilder::Mark(size_t begin, size_t end) {
  if (begin >= end) return;
  if (!plain_.empty() && plain_.back().end == begin) {
    plain_.back().end = end;
  } else {
    plain_.push_back({begin, end});
  }
}

}  // namespace mach::jinja
