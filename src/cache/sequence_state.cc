#include "cache/sequence_state.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/check.h"

namespace mach::cache {
namespace {

size_t ElementBytes(const StateShape& shape) { return shape.kv_f16 ? 2 : 4; }

// Each part begins on a cache line.
size_t FloatBytes(size_t n) { return RoundUp(n * sizeof(float), kCacheLineBytes); }

size_t TapeRowsBytes(const RecurrentShape& r, size_t steps) {
  return 2 * FloatBytes(steps * r.conv_channels) + 2 * FloatBytes(steps * r.heads);
}

Result<std::pair<AlignedBuffer, MemoryReservation>> Claim(MemoryLedger& ledger, MemoryTag tag,
                                                          size_t bytes) {
  MACH_TRY(MemoryReservation reservation, ledger.Reserve(tag, bytes));
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(bytes));
  return std::pair(std::move(memory), std::move(reservation));
}

}  // namespace

size_t StateShape::NotesOffset() const {
  size_t bytes = 0;
  for (const KvShape& layer : kv) {
    bytes += 2 * layer.heads * layer.head_dim * kBlockTokens * ElementBytes(*this);
  }
  return RoundUp(bytes, kCacheLineBytes);
}

size_t StateShape::BlockBytes() const {
  return RoundUp(NotesOffset() + kBlockTokens * note_bytes, kPageBytes);
}

size_t StateShape::RecurrentBytes() const {
  size_t bytes = 0;
  for (const RecurrentShape& r : recurrent) {
    bytes += FloatBytes(r.state_floats()) + FloatBytes(r.history_floats());
  }
  return bytes;
}

size_t StateShape::TapeBytes(size_t steps) const {
  size_t bytes = 0;
  for (const RecurrentShape& r : recurrent) bytes += TapeRowsBytes(r, steps);
  return bytes;
}

Result<std::unique_ptr<SequenceState>> SequenceState::Create(const StateShape& shape,
                                                             MemoryLedger& ledger) {
  std::unique_ptr<SequenceState> made(new SequenceState(shape, ledger));
  size_t offset = 0;
  for (size_t i = 0; i < shape.kv.size(); ++i) {
    made->kv_offset_.push_back(offset);
    offset += 2 * shape.kv[i].heads * made->HeadBytes(i);
  }
  MACH_TRY(auto claimed, Claim(ledger, MemoryTag::kState, shape.RecurrentBytes()));
  made->state_ = {std::move(claimed.first), std::move(claimed.second)};
  size_t at = 0;
  for (const RecurrentShape& r : shape.recurrent) {
    Recurrent layer;
    layer.shape = r;
    layer.state = made->state_.memory.As<float>(at);
    at += FloatBytes(r.state_floats());
    layer.history = made->state_.memory.As<float>(at);
    at += FloatBytes(r.history_floats());
    made->recurrent_.push_back(layer);
  }
  return made;
}

size_t SequenceState::HeadBytes(size_t kv_layer) const {
  return shape_.kv[kv_layer].head_dim * kBlockTokens * ElementBytes(shape_);
}

Status SequenceState::PrepareTokens(size_t n) {
  if (n > shape_.max_tokens - length_) {
    return Error{Code::kInvalidArgument,
                 std::to_string(length_ + n) + " tokens exceed the context of " +
                     std::to_string(shape_.max_tokens) + "; shorten the text"};
  }
  MACH_CHECK(!mark_ || length_ + n - *mark_ <= mark_steps_);
  if (shape_.BlockBytes() == 0) return Ok();
  if (length_ % kBlockTokens != 0) {
    Slot& slot = blocks_[length_ / kBlockTokens];
    if (slot.shared) {
      MACH_TRY(auto own, TakeBlock());
      std::memcpy(own->memory.data(), slot.block->memory.data(), shape_.BlockBytes());
      slot = {std::move(own), false};
    }
  }
  while (blocks_.size() * kBlockTokens < length_ + n) {
    MACH_TRY(auto block, TakeBlock());
    blocks_.push_back({std::move(block), false});
  }
  return Ok();
}

Result<std::shared_ptr<KvBlock>> SequenceState::TakeBlock() {
  if (spare_.empty()) return NewKvBlock(ledger_, MemoryTag::kKv, shape_.BlockBytes());
  std::shared_ptr<KvBlock> block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

bool SequenceState::settled() const {
  return std::ranges::all_of(recurrent_, [](const Recurrent& r) { return r.pending == 0; });
}

void SequenceState::AdvanceTokens(size_t n) { length_ += n; }

void SequenceState::Reset() {
  length_ = 0;
  mark_.reset();
  noted_begin_ = noted_end_ = 0;
  for (Slot& slot : blocks_) {
    if (!slot.shared) spare_.push_back(std::move(slot.block));
  }
  blocks_.clear();
  for (Recurrent& r : recurrent_) {
    std::fill_n(r.state, r.shape.state_floats(), 0.0f);
    std::fill_n(r.history, r.shape.history_floats(), 0.0f);
    r.recorded = 0;
    r.pending = 0;
  }
}

Status SequenceState::Mark(size_t steps) {
  MACH_CHECK(!mark_);
  if (steps > tape_steps_) {
    // Steps that still wait for their replay move to the larger tape.
    MACH_TRY(auto claimed, Claim(ledger_, MemoryTag::kState, shape_.TapeBytes(steps)));
    size_t at = 0;
    const auto move_rows = [&](float*& rows, size_t width, size_t kept) {
      float* to = claimed.first.As<float>(at);
      if (kept != 0) std::memcpy(to, rows, kept * width * sizeof(float));
      rows = to;
      at += FloatBytes(steps * width);
    };
    for (Recurrent& r : recurrent_) {
      move_rows(r.tape_input, r.shape.conv_channels, r.pending);
      move_rows(r.tape_output, r.shape.conv_channels, r.pending);
      move_rows(r.tape_decay, r.shape.heads, r.pending);
      move_rows(r.tape_beta, r.shape.heads, r.pending);
    }
    tape_ = {std::move(claimed.first), std::move(claimed.second)};
    tape_steps_ = steps;
  }
  mark_ = length_;
  mark_steps_ = steps;
  return Ok();
}

void SequenceState::Rollback(size_t length) {
  MACH_CHECK(mark_ && *mark_ <= length && length <= length_);
  for (Recurrent& r : recurrent_) {
    // A layer that no forward pass has visited since the last rollback still has its own pending
    // steps.
    if (length_ == *mark_) continue;
    MACH_CHECK(r.recorded == length_ - *mark_ && r.pending == 0);
    r.pending = length - *mark_;
    r.recorded = 0;
  }
  length_ = length;
  mark_.reset();
  noted_end_ = std::min(noted_end_, length);
}

std::byte* SequenceState::Keys(size_t kv_layer, size_t head, size_t block) {
  return blocks_[block].block->memory.data() + kv_offset_[kv_layer] +
         2 * head * HeadBytes(kv_layer);
}

std::byte* SequenceState::Values(size_t kv_layer, size_t head, size_t block) {
  return Keys(kv_layer, head, block) + HeadBytes(kv_layer);
}

std::byte* SequenceState::Note(size_t position) {
  return blocks_[position / kBlockTokens].block->memory.data() + shape_.NotesOffset() +
         position % kBlockTokens * shape_.note_bytes;
}

void SequenceState::SetNoted(size_t begin, size_t end) {
  MACH_CHECK(begin <= end && end <= length_ && begin >= noted_end_);
  if (begin != noted_end_) noted_begin_ = begin;
  noted_end_ = end;
}

size_t SequenceState::noted_from() const {
  return noted_end_ == length_ ? std::min(noted_begin_, length_) : length_;
}

std::shared_ptr<KvBlock> SequenceState::ShareBlock(size_t b) {
  MACH_CHECK(!mark_ && (b + 1) * kBlockTokens <= length_);
  Slot& slot = blocks_[b];
  if (!slot.shared) {
    slot.shared = true;
    slot.block->noted = noted_begin_ <= b * kBlockTokens && noted_end_ >= (b + 1) * kBlockTokens;
  }
  return slot.block;
}

Result<std::shared_ptr<KvBlock>> SequenceState::CopyTail(MemoryLedger& ledger,
                                                         MemoryTag tag) const {
  MACH_CHECK(!mark_ && length_ % kBlockTokens != 0);
  const size_t b = length_ / kBlockTokens;
  MACH_TRY(auto copy, NewKvBlock(ledger, tag, shape_.BlockBytes()));
  std::memcpy(copy->memory.data(), blocks_[b].block->memory.data(), shape_.BlockBytes());
  copy->noted = noted_from() <= b * kBlockTokens;
  return copy;
}

Result<std::shared_ptr<RecurrentCopy>> SequenceState::CopyRecurrent(MemoryLedger& ledger,
                                                                    MemoryTag tag) const {
  MACH_CHECK(!mark_ && settled());
  MACH_TRY(auto copy, NewRecurrentCopy(ledger, tag, shape_.RecurrentBytes()));
  std::memcpy(copy->memory.data(), state_.memory.data(), shape_.RecurrentBytes());
  return copy;
}

void SequenceState::Restore(std::span<const std::shared_ptr<KvBlock>> blocks,
                            const RecurrentCopy* recurrent, size_t length) {
  MACH_CHECK(length_ == 0 && !mark_ && length <= shape_.max_tokens);
  MACH_CHECK((recurrent == nullptr) == recurrent_.empty());
  if (shape_.BlockBytes() != 0) {
    MACH_CHECK(blocks.size() == (length + kBlockTokens - 1) / kBlockTokens);
    for (Slot& slot : blocks_) spare_.push_back(std::move(slot.block));
    blocks_.clear();
    for (const auto& block : blocks) blocks_.push_back({block, true});
  }
  if (recurrent != nullptr) {
    std::memcpy(state_.memory.data(), recurrent->memory.data(), shape_.RecurrentBytes());
  }
  length_ = length;
  noted_begin_ = noted_end_ = length;
  if (shape_.note_bytes == 0) return;
  for (size_t b = blocks_.size(); b > 0 && blocks_[b - 1].block->noted; --b) {
    noted_begin_ = (b - 1) * kBlockTokens;
  }
}

}  // namespace mach::cache
