// Memory of a sequence that outlives it when it is shared: KV blocks, and copies of recurrent
// state.
#pragma once

#include <memory>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"

namespace mach::cache {

// kBlockTokens positions, laid out as StateShape says. While one sequence owns it, that sequence
// writes it; once it is shared it is immutable, and any thread may read it. The reservation moves
// to the cache's budget when the cache takes the block (under the cache's lock).
struct KvBlock {
  MemoryReservation reservation;
  AlignedBuffer memory;
  bool noted = false;   // all positions that were written have notes; constant once shared
  bool cached = false;  // reserved by a cache's budget; guarded by the cache's lock
};

// The recurrent layers of a sequence at one position: StateShape::RecurrentBytes(), in whole pages.
struct RecurrentCopy {
  MemoryReservation reservation;
  AlignedBuffer memory;
};

// Zeroed memory of either, reserved under `tag`. kNoMemory.
Result<std::shared_ptr<KvBlock>> NewKvBlock(MemoryLedger& ledger, MemoryTag tag, size_t bytes);
Result<std::shared_ptr<RecurrentCopy>> NewRecurrentCopy(MemoryLedger& ledger, MemoryTag tag,
                                                        size_t bytes);

}  // namespace mach::cache
