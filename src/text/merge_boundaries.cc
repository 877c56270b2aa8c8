#include "text/merge_boundaries.h"

#include "base/utf8.h"
#include "text/unicode.h"

namespace mach::text {

MergeBoundaries::MergeBoundaries(const Vocabulary& vocabulary)
    : pairs_(std::make_unique<std::bitset<kPairs>>()),
      tokens_(std::make_unique<std::bitset<0x110000>>()) {
  const StringIds& strings = vocabulary.strings();
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string_view token = strings.TextAt(i);
    if (token.empty()) continue;
    uint32_t left = CodePointAt(token, 0);
    size_t at = CharLength(token[0]);
    if (at == token.size()) tokens_->set(left);
    while (at < token.size()) {
      const uint32_t right = CodePointAt(token, at);
      pairs_->set(PairOf(left, right));
      left = right;
      at += CharLength(token[at]);
    }
  }
}

size_t MergeBoundaries::FirstPart(std::string_view text) const {
  uint32_t left = CodePointAt(text, 0);
  size_t at = CharLength(text[0]);
  while (at < text.size()) {
    const uint32_t right = CodePointAt(text, at);
    if (!(*pairs_)[PairOf(left, right)] && IsToken(left) && IsToken(right)) return at;
    left = right;
    at += CharLength(text[at]);
  }
  return at;
}

}  // namespace mach::text
