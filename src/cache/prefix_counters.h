// What a prefix cache counts.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "cache/prefix_image.h"

namespace mach::cache {

// Why a prompt found less than it shares with another one.
enum class MissReason : uint8_t {
  kEmpty,         // nothing is cached
  kNothingAlike,  // no cached prompt begins with the same token
  kDiverged,      // the prompts part before any state that was kept
  kNoState,       // the prompt ends before the first state that was kept
};
std::string_view MissReasonName(MissReason reason);

struct PrefixMiss {
  MissReason reason = MissReason::kEmpty;
  size_t prompt_tokens = 0;
  size_t common_tokens = 0;  // with the nearest cached prompt
  // What follows on both sides where they part; a few tokens.
  std::vector<TokenId> wanted, cached;
};

struct DiskStats {
  uint64_t entries = 0, bytes = 0;  // of this model and of all in the directory
  uint64_t budget_bytes = 0;
  uint64_t evictions = 0;
  uint64_t quarantined = 0;
  uint64_t dropped = 0;  // saves that came faster than the disk, or did not fit
  uint64_t errors = 0;   // reads and writes that failed
  std::array<uint64_t, kSaveTriggers> saves{};
  uint64_t waiting = 0;
};

struct PrefixCounters {
  uint64_t entries = 0, max_entries = 0;
  uint64_t bytes = 0, max_bytes = 0;
  uint64_t hits = 0, misses = 0;  // prompts
  uint64_t disk_hits = 0;         // of the hits, those that were read from disk
  uint64_t tokens_saved = 0;
  uint64_t evictions = 0;  // from memory
  uint64_t refused = 0;    // states that found no room
  std::array<uint64_t, kSaveTriggers> saves{};
  std::vector<PrefixMiss> last_misses;  // newest first
  bool has_disk = false;
  DiskStats disk;
};

}  // namespace mach::cache
