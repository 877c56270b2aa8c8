#include "experts/expert_store.h"

namespace mach::experts {

ExpertPin::~ExpertPin() {
  if (store_ != nullptr) store_->Unpin(slot_);
}

void Acquisition::Clear() {
  pins_.clear();
  bytes_.clear();
  ready_.clear();
  handed_out_ = 0;
}

void ExpertStore::Begin(Acquisition& out, size_t n) {
  out.Clear();
  out.bytes_.resize(n);
  out.pins_.reserve(n);
}

void ExpertStore::ReleaseReady(Acquisition& out) {
  out.pins_.clear();
  for (const uint32_t index : out.ready_) out.bytes_[index] = {};
  out.ready_.clear();
}

void ExpertStore::HandOut(Acquisition& out, uint32_t index, uint32_t slot,
                          std::span<const std::byte> bytes) {
  out.pins_.push_back(ExpertPin(this, slot, bytes));
  out.bytes_[index] = bytes;
  out.ready_.push_back(index);
  ++out.handed_out_;
}

}  // namespace mach::experts
