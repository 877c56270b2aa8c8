// What the killed process and its judge have in common.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "cache/disk_tier.h"
#include "cache/testing/sequences.h"

namespace mach::cache {

inline constexpr size_t kKillPrompts = 40;

inline std::vector<TokenId> KillIds(size_t i) {
  return Ids(30 + i * 11, static_cast<TokenId>(1000 * (i + 1)));
}
inline std::vector<TokenId> KillIds(double uniform) {
  return KillIds(static_cast<size_t>(uniform * static_cast<double>(kKillPrompts)));
}

// A budget for about ten of them.
inline DiskTierOptions KillOptions(const std::string& directory, const StateShape& shape) {
  DiskTierOptions options;
  options.directory = directory;
  options.owner = OwnerOf(Sha1("killed"), shape);
  options.budget_bytes = 10 * EntryFileBytes(options.owner, 250);
  return options;
}

// Whether what the tier has of the prompt, if anything, is what computing it gives.
inline bool RestoresRightly(DiskTier& tier, const std::vector<TokenId>& ids,
                            const StateShape& shape, MemoryLedger& ledger) {
  std::vector<TokenId> longer = ids;
  longer.push_back(5);
  const auto found = tier.Find(longer, 0, ids.size());
  if (!found) return true;
  const auto image = tier.Load(*found, longer, ledger);
  if (image == nullptr) return true;
  Fed restored = Computed(shape, ledger, {});
  restored.state->Restore(image->blocks, image->recurrent.get(), image->tokens.size());
  Fed computed = Computed(shape, ledger, image->tokens);
  return ContentOf(*restored.state) == ContentOf(*computed.state);
}

}  // namespace mach::cache
