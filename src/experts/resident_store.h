// All experts in memory (`stacked` residency): every acquisition is complete at once.
#pragma once

#include <memory>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "experts/expert_store.h"

namespace mach::experts {

class ResidentStore final : public ExpertStore {
 public:
  // Records of record_bytes for `experts` experts of each of `layers` layers, zeroed.
  static Result<std::unique_ptr<ResidentStore>> Create(size_t layers, size_t experts,
                                                       size_t record_bytes, MemoryLedger& ledger);

  // Where the loader writes an expert, before the first Acquire.
  std::span<std::byte> Record(LayerId layer, ExpertId expert);

  Status Acquire(const ExpertRequest& request, Acquisition& out) override;
  Status Wait(Acquisition& out) override;

 private:
  ResidentStore(size_t layers, size_t experts, size_t record_bytes)
      : layers_(layers), experts_(experts), record_bytes_(record_bytes) {}
  void Unpin(uint32_t) override {}

  const size_t layers_;
  const size_t experts_;
  const size_t record_bytes_;
  MemoryReservation reservation_;
  AlignedBuffer memory_;
};

}  // namespace mach::experts
