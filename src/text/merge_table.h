// The merges of a BPE model, and merging by them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "json/value.h"
#include "text/vocabulary.h"
#include "text/work_budget.h"

namespace mach::text {

class MergeTable {
 public:
  // The "merges" of a model: pairs, or strings with one space. prefix_bytes: of the right part,
  // what the merged token lacks (the length of continuing_subword_prefix).
  static Result<MergeTable> FromJson(const json::Value& merges, const Vocabulary& vocabulary,
                                     size_t prefix_bytes);

  // Merges until no rule fits, always by the best rule and of its places the leftmost. Short lists
  // by scanning, long ones with a heap: n log n. (Sennrich et al., 2016.)
  // Cancelled, it leaves what it has merged.
  void MergeAll(std::vector<TokenId>& symbols, WorkBudget& budget) const;

 private:
  struct Rule {
    uint64_t pair;
    uint32_t rank;
    TokenId id;
  };
  static constexpr uint64_t kNoPair = UINT64_MAX;
  static constexpr uint32_t kNoRank = UINT32_MAX;

  static uint64_t PairOf(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t Home(uint64_t pair) const {
    return static_cast<size_t>((pair * 0x9E3779B97F4A7C15u) >> shift_);
  }
  const Rule* Find(TokenId left, TokenId right) const {
    const uint64_t pair = PairOf(left, right);
    for (size_t at = Home(pair);; at = (at + 1) & mask_) {
      if (rules_[at].pair == pair) return &rules_[at];
      if (rules_[at].pair == kNoPair) return nullptr;
    }
  }
  void Allocate(size_t count);
  void Insert(uint64_t pair, uint32_t rank, TokenId id);  // the last of equal pairs counts
  void MergeShort(std::vector<TokenId>& symbols) const;
  void MergeLong(std::vector<TokenId>& symbols, WorkBudget& budget) const;

  std::vector<Rule> rules_;
  size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace mach::text
