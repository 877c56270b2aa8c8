// Where a text may be cut before merging without changing the ids.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string_view>

#include "text/vocabulary.h"

namespace mach::text {

// A merge makes a token of the vocabulary. So between two characters that are tokens and that stand
// side by side inside of no token, nothing ever merges. Models without a pre-tokenizer see the
// whole text as one piece: cut there, it becomes words that can be remembered.
class MergeBoundaries {
 public:
  explicit MergeBoundaries(const Vocabulary& vocabulary);

  // Bytes of the first part of `text` (not empty) that merges on its own. REQUIRES valid UTF-8.
  size_t FirstPart(std::string_view text) const;

 private:
  static constexpr size_t kPairs = 1 << 20;
  static size_t PairOf(uint32_t left, uint32_t right) {
    return static_cast<size_t>((uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u >> 44);
  }
  bool IsToken(uint32_t c) const { return (*tokens_)[c]; }

  // Hashed pairs of neighbours in tokens: a pair that collides is only not cut.
  std::unique_ptr<std::bitset<kPairs>> pairs_;
  std::unique_ptr<std::bitset<0x110000>> tokens_;  // characters that are tokens
};

}  // namespace mach::text
