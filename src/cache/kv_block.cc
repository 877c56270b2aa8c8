#include "cache/kv_block.h"

namespace mach::cache {
namespace {

template <class T>
Result<std::shared_ptr<T>> Make(MemoryLedger& ledger, MemoryTag tag, size_t bytes) {
  bytes = RoundUp(bytes, kPageBytes);
  auto made = std::make_shared<T>();
  MACH_TRY(made->reservation, ledger.Reserve(tag, bytes));
  MACH_TRY(made->memory, AlignedBuffer::Allocate(bytes));
  return made;
}

}  // namespace

Result<std::shared_ptr<KvBlock>> NewKvBlock(MemoryLedger& ledger, MemoryTag tag, size_t bytes) {
  return Make<KvBlock>(ledger, tag, bytes);
}

Result<std::shared_ptr<RecurrentCopy>> NewRecurrentCopy(MemoryLedger& ledger, MemoryTag tag,
                                                        size_t bytes) {
  return Make<RecurrentCopy>(ledger, tag, bytes);
}

}  // namespace mach::cache
