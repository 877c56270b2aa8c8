#include "text/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <queue>
#include <string>

#include "text/component.h"

namespace mach::text {
namespace {

constexpr size_t kShort = 48;

struct Parts {
  std::string_view left, right;
};

Result<Parts> SplitMerge(const json::Value& merge, size_t index) {
  if (merge.is_array() && merge.AsArray().size() == 2 && merge.AsArray()[0].is_string() &&
      merge.AsArray()[1].is_string()) {
    return Parts{merge.AsArray()[0].AsString(), merge.AsArray()[1].AsString()};
  }
  if (merge.is_string()) {
    const std::string_view s = merge.AsString();
    const size_t space = s.find(' ');
    if (space != s.npos && s.find(' ', space + 1) == s.npos) {
      return Parts{s.substr(0, space), s.substr(space + 1)};
    }
  }
  return Error{Code::kInvalidArgument,
               "merge " + std::to_string(index) + " is " +
                   (merge.is_string() ? Quoted(merge.AsString()) : std::string(merge.KindName())) +
                   ", expected a pair of strings or a string with one space"};
}

}  // namespace

void MergeTable::Allocate(size_t count) {
  const size_t slots = std::bit_ceil(count * 2 + 2);
  rules_.assign(slots, {kNoPair, kNoRank, -1});
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
}

void MergeTable::Insert(uint64_t pair, uint32_t rank, TokenId id) {
  size_t at = Home(pair);
  while (rules_[at].pair != kNoPair && rules_[at].pair != pair) at = (at + 1) & mask_;
  rules_[at] = {pair, rank, id};
}

Result<MergeTable> MergeTable::FromJson(const json::Value& merges, const Vocabulary& vocabulary,
                                        size_t prefix_bytes) {
  if (!merges.is_array()) {
    return Error{Code::kInvalidArgument,
                 "'merges' is " + std::string(merges.KindName()) + ", expected an array"};
  }
  const json::Array& list = merges.AsArray();
  if (list.size() >= kNoRank / 4) {
    return Error{Code::kInvalidArgument, "'merges' has too many entries"};
  }
  MergeTable out;
  out.Allocate(list.size());
  std::string merged;
  for (size_t i = 0; i < list.size(); ++i) {
    MACH_TRY(const Parts parts, SplitMerge(list[i], i));
    const auto missing = [&](std::string_view token) {
      return Error{Code::kInvalidArgument, "merge " + std::to_string(i) + ": token " +
                                               Quoted(token) + " is not in the vocabulary"};
    };
    const auto left = vocabulary.Find(parts.left);
    if (!left) return missing(parts.left);
    const auto right = vocabulary.Find(parts.right);
    if (!right) return missing(parts.right);
    merged = parts.left;
    merged += parts.right.substr(std::min(prefix_bytes, parts.right.size()));
    const auto id = vocabulary.Find(merged);
    if (!id) return missing(merged);
    out.Insert(PairOf(*left, *right), static_cast<uint32_t>(i), *id);
  }
  return out;
}

void MergeTable::MergeAll(std::vector<TokenId>& symbols, WorkBudget& budget) const {
  if (symbols.size() <= kShort) {
    MergeShort(symbols);
  } else {
    MergeLong(symbols, budget);
  }
}

void MergeTable::MergeShort(std::vector<TokenId>& symbols) const {
  struct Candidate {
    uint32_t rank;
    TokenId id;
  };
  std::array<Candidate, kShort> candidates;  // of symbol i and its right neighbour
  const auto candidate = [&](size_t i) -> Candidate {
    const Rule* rule = Find(symbols[i], symbols[i + 1]);
    return rule == nullptr ? Candidate{kNoRank, -1} : Candidate{rule->rank, rule->id};
  };
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) candidates[i] = candidate(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (candidates[i].rank < candidates[best].rank) best = i;
    }
    if (candidates[best].rank == kNoRank) break;
    symbols[best] = candidates[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --n;
    for (size_t i = best + 1; i + 1 < n; ++i) candidates[i] = candidates[i + 1];
    if (best + 1 < n) candidates[best] = candidate(best);
    if (best > 0) candidates[best - 1] = candidate(best - 1);
  }
}

void MergeTable::MergeLong(std::vector<TokenId>& symbols, WorkBudget& budget) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  constexpr TokenId kGone = -1;
  struct Link {
    uint32_t previous, next;
  };
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<Link> links(n);
  // Rank in the high half, place in the low one. An entry is stale when the pair at its place has
  // another rank by now: two rules never share one.
  std::vector<uint64_t> places;
  for (uint32_t i = 0; i < n; ++i) {
    links[i] = {i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1};
    if (i + 1 == n || budget.Cancelled(1)) break;
    if (const Rule* rule = Find(symbols[i], symbols[i + 1])) {
      places.push_back(uint64_t{rule->rank} << 32 | i);
    }
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>{},
                                                                            std::move(places));
  const auto push = [&](uint32_t left, uint32_t right) {
    if (const Rule* rule = Find(symbols[left], symbols[right])) {
      heap.push(uint64_t{rule->rank} << 32 | left);
    }
  };
  while (!heap.empty() && !budget.Cancelled(1)) {
    const uint64_t top = heap.top();
    heap.pop();
    const auto at = static_cast<uint32_t>(top);
    const uint32_t right = links[at].next;
    if (symbols[at] == kGone || right == kEnd) continue;
    const Rule* rule = Find(symbols[at], symbols[right]);
    if (rule == nullptr || rule->rank != top >> 32) continue;
    symbols[at] = rule->id;
    symbols[right] = kGone;
    links[at].next = links[right].next;
    if (links[at].next != kEnd) {
      links[links[at].next].previous = at;
      push(at, links[at].next);
    }
    if (links[at].previous != kEnd) push(links[at].previous, at);
  }
  std::erase(symbols, kGone);
}

}  // namespace mach::text
