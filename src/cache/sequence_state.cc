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

size_t StateShape::BlockBytes() const {
  size_t bytes = 0;
  for (const KvShape& layer : kv) {
    bytes += 2 * layer.heads * layer.head_dim * kBlockTokens * ElementBytes(*this);
  }
  return bytes;
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
    return Error{Code::kInvalidArgument, std::to_string(length_ + n) +
                                             " tokens exceed the context of " +
                                             std::to_string(shape_.max_tokens) +
                                             "; shorten the prompt or raise --ctx-size"};
  }
  MACH_CHECK(!mark_ || length_ + n - *mark_ <= mark_steps_);
  if (shape_.kv.empty()) return Ok();
  while (blocks_.size() * kBlockTokens < length_ + n) {
    MACH_TRY(auto claimed, Claim(ledger_, MemoryTag::kKv, shape_.BlockBytes()));
    blocks_.push_back({std::move(claimed.first), std::move(claimed.second)});
  }
  return Ok();
}

void SequenceState::AdvanceTokens(size_t n) { length_ += n; }

void SequenceState::Reset() {
  length_ = 0;
  mark_.reset();
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
}

std::byte* SequenceState::Keys(size_t kv_layer, size_t head, size_t block) {
  return blocks_[block].memory.data() + kv_offset_[kv_layer] + 2 * head * HeadBytes(kv_layer);
}

std::byte* SequenceState::Values(size_t kv_layer, size_t head, size_t block) {
  return Keys(kv_layer, head, block) + HeadBytes(kv_layer);
}

}  // namespace mach::cache
