// What a prefix is: all that a sequence needs to begin after it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/prefix_point.h"
#include "cache/kv_block.h"

namespace mach::cache {

// Why a prefix was saved.
enum class SaveTrigger : uint8_t {
  kCold,       // its prompt was not cached
  kContinued,  // it goes on from a cached one
  kDisplaced,  // it is about to leave the memory, and goes to the disk
  kShutdown,   // likewise
  kWarm,       // a client asked for it
};
inline constexpr size_t kSaveTriggers = 5;
std::string_view SaveTriggerName(SaveTrigger trigger);

// SHA-1.
using Digest = std::array<uint8_t, 20>;
std::string DigestHex(const Digest& digest);

// Immutable and shared between the tiers; any thread may read it.
struct PrefixImage {
  MemoryReservation reservation;  // of tokens and hashes
  std::vector<TokenId> tokens;
  std::vector<uint64_t> hashes;                    // of the index; set when it gets there
  std::vector<std::shared_ptr<KvBlock>> blocks;    // of all tokens; the last one may be partial
  std::shared_ptr<const RecurrentCopy> recurrent;  // null without recurrent layers
  PrefixKind kind = PrefixKind::kMessage;
  std::atomic<bool> on_disk{false};

  // Of one sequence's blocks and copy, shared or not.
  size_t bytes() const;
};

}  // namespace mach::cache
