#include "experts/resident_store.h"

#include "base/check.h"

namespace mach::experts {

Result<std::unique_ptr<ResidentStore>> ResidentStore::Create(size_t layers, size_t experts,
                                                             size_t record_bytes,
                                                             MemoryLedger& ledger) {
  std::unique_ptr<ResidentStore> made(new ResidentStore(layers, experts, record_bytes));
  const size_t bytes = layers * experts * record_bytes;
  MACH_TRY(made->reservation_, ledger.Reserve(MemoryTag::kExperts, bytes));
  MACH_TRY(made->memory_, AlignedBuffer::Allocate(bytes));
  return made;
}

std::span<std::byte> ResidentStore::Record(LayerId layer, ExpertId expert) {
  MACH_CHECK(Index(layer) < layers_ && Index(expert) < experts_);
  return memory_.bytes().subspan((Index(layer) * experts_ + Index(expert)) * record_bytes_,
                                 record_bytes_);
}

Status ResidentStore::Acquire(const ExpertRequest& request, Acquisition& out) {
  Begin(out, request.ids.size());
  for (uint32_t i = 0; i < request.ids.size(); ++i) {
    HandOut(out, i, 0, Record(request.layer, request.ids[i]));
  }
  return Ok();
}

Status ResidentStore::Wait(Acquisition&) {
  MACH_CHECK(false && "a resident acquisition is complete from the start");
  return Ok();
}

}  // namespace mach::experts
