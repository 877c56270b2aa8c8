// The state of one sequence: KV blocks of its attention layers, matrices of its recurrent ones.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "base/result.h"
#include "cache/state_shape.h"

namespace mach::cache {

// Owned by one thread at a time. A forward pass calls PrepareTokens(n), writes positions
// [length, length + n) of every layer, then AdvanceTokens(n). If it stops in between (cancelled, a
// read failed), recurrent layers have gone on unevenly: the state is spent and must be dropped.
//
// Speculation. Mark(steps) makes what follows provisional: keys and values go past the mark,
// recurrent layers leave their matrices as they are and record each step's inputs on a tape.
// Rollback(n) keeps the tokens up to length n: the KV length is cut, and the kept steps become
// `pending`; the next forward pass replays them into the matrices first. So nothing is copied, and
// the replay runs the same operations in the same order as plain steps: bit-equal to having decoded
// just those tokens.
class SequenceState {
 public:
  // One recurrent layer. state: [heads, panels, key_dim, 16] (DeltaRuleArgs). history: the last
  // conv_taps - 1 convolution inputs, oldest first, [taps - 1, channels]. The tape rows of step t:
  // conv_input [channels], conv_output [channels] (q and k normalised, v), decay and beta [heads].
  struct Recurrent {
    RecurrentShape shape;
    float* state = nullptr;
    float* history = nullptr;
    float* tape_input = nullptr;
    float* tape_output = nullptr;
    float* tape_decay = nullptr;
    float* tape_beta = nullptr;
    size_t recorded = 0;  // steps on the tape since Mark
    size_t pending = 0;   // steps of the tape to replay into state and history first
  };

  static Result<std::unique_ptr<SequenceState>> Create(const StateShape& shape,
                                                       MemoryLedger& ledger);

  const StateShape& shape() const { return shape_; }
  size_t length() const { return length_; }
  bool marked() const { return mark_.has_value(); }

  // Room for n more tokens. kInvalidArgument beyond max_tokens or the mark's steps, kNoMemory.
  Status PrepareTokens(size_t n);
  void AdvanceTokens(size_t n);

  // Back to an empty sequence, memory kept.
  void Reset();

  // REQUIRES no mark. At most `steps` tokens can be forwarded until Rollback.
  Status Mark(size_t steps);
  // Keeps [0, length) and ends the mark. REQUIRES a mark, mark length <= length <= length().
  void Rollback(size_t length);

  // Start of one KV head's keys (transposed) and values in block b: kernels::KvBlock.
  std::byte* Keys(size_t kv_layer, size_t head, size_t block);
  std::byte* Values(size_t kv_layer, size_t head, size_t block);
  Recurrent& recurrent(size_t layer) { return recurrent_[layer]; }

 private:
  struct Block {
    AlignedBuffer memory;
    MemoryReservation reservation;
  };
  SequenceState(const StateShape& shape, MemoryLedger& ledger) : shape_(shape), ledger_(ledger) {}
  size_t HeadBytes(size_t kv_layer) const;

  const StateShape shape_;
  MemoryLedger& ledger_;
  size_t length_ = 0;
  std::optional<size_t> mark_;  // length when marked
  size_t mark_steps_ = 0;
  std::vector<size_t> kv_offset_;  // of each attention layer within a block
  std::vector<Block> blocks_;
  std::vector<Recurrent> recurrent_;
  Block state_;  // matrices and histories
  Block tape_;
  size_t tape_steps_ = 0;
};

}  // namespace mach::cache
