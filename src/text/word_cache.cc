#include "text/word_cache.h"

#include <algorithm>

#include <xxhash.h>

namespace mach::text {

WordCache::WordCache() : slots_(kSlots) {}

uint64_t WordCache::Hash(std::string_view piece) { return XXH3_64bits(piece.data(), piece.size()); }

bool WordCache::Find(uint64_t hash, std::string_view piece, std::vector<TokenId>& out) const {
  const size_t at = hash % kSlots;
  const MutexLock lock(mu_[at % kLocks]);
  const Slot& slot = slots_[at];
  if (slot.hash != hash || piece != std::string_view(slot.piece.data(), slot.bytes)) return false;
  out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
  return true;
}

void WordCache::Put(uint64_t hash, std::string_view piece, std::span<const TokenId> ids) {
  if (piece.empty() || piece.size() > kMaxBytes || ids.size() > kMaxIds) return;
  const size_t at = hash % kSlots;
  const MutexLock lock(mu_[at % kLocks]);
  Slot& slot = slots_[at];
  slot.hash = hash;
  slot.bytes = static_cast<uint8_t>(piece.size());
  slot.count = static_cast<uint8_t>(ids.size());
  std::ranges::copy(piece, slot.piece.begin());
  std::ranges::copy(ids, slot.ids.begin());
}

}  // namespace mach::text
