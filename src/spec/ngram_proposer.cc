#include "spec/ngram_proposer.h"

#include <algorithm>

#include "base/check.h"

namespace mach::spec {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
constexpr size_t kMaxCandidates = 16;  // earlier occurrences that are compared
constexpr size_t kMaxMatch = 64;

uint64_t Hash(std::span<const TokenId> tokens) {
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (const TokenId t : tokens) {
    h = (h ^ static_cast<uint32_t>(t)) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
  }
  return h;
}

}  // namespace

NgramProposer::NgramProposer(const NgramOptions& options) : options_(options) {
  MACH_CHECK(options.min_match >= 1 && options.min_match <= 8);
}

void NgramProposer::Reset() {
  latest_.clear();
  earlier_.clear();
  matched_ = 0;
}

// Adds the occurrences that end before the sequence does: its last tokens must not match
// themselves.
void NgramProposer::Index(std::span<const TokenId> sequence) {
  for (size_t end = earlier_.size(); end < sequence.size(); ++end) {
    earlier_.push_back(kNone);
    if (end < options_.min_match) continue;
    const auto place = latest_.try_emplace(
        Hash(sequence.subspan(end - options_.min_match, options_.min_match)), kNone);
    earlier_[end] = place.first->second;
    place.first->second = static_cast<uint32_t>(end);
  }
}

size_t NgramProposer::Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                              const MoreDrafts&) {
  matched_ = 0;
  Index(sequence);
  const size_t n = options_.min_match;
  if (sequence.size() <= n || out.empty()) return 0;
  const auto found = latest_.find(Hash(sequence.last(n)));
  uint32_t end = found == latest_.end() ? kNone : found->second;
  size_t best_end = 0;
  for (size_t tried = 0; end != kNone && tried < kMaxCandidates; ++tried) {
    size_t length = 0;
    while (length < kMaxMatch && length < end &&
           sequence[end - 1 - length] == sequence[sequence.size() - 1 - length]) {
      ++length;
    }
    // Among equally long matches the newest wins.
    if (length > matched_) {
      matched_ = length;
      best_end = end;
    }
    end = earlier_[end];
  }
  if (matched_ < n) return 0;
  // Where the drafts reach the end of the sequence, they repeat the text since the match.
  const size_t period = sequence.size() - best_end;
  const size_t count = std::min({out.size(), options_.max_drafts, 2 * matched_});
  const auto m = static_cast<float>(matched_);
  for (size_t i = 0; i < count; ++i) {
    out[i] = {sequence[best_end + i % period], m / (m + 1)};
  }
  return count;
}

}  // namespace mach::spec
