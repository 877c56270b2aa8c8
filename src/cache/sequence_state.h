// The state of one sequence: KV blocks of its attention layers, matrices of its recurrent ones.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "base/result.h"
#include "cache/kv_block.h"
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
//
// Sharing. Whole blocks can be shared with a prefix cache, and a sequence can begin with shared
// ones. Shared blocks are never written: where the sequence would go on within one, it goes on in a
// copy.
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
  // No recurrent layer has steps to replay: the matrices are those of length().
  bool settled() const;

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

  // ---- Notes ----
  // Where the notes of a position below length() go, note_bytes of them. REQUIRES note_bytes != 0.
  std::byte* Note(size_t position);
  // The notes of [begin, end) are written; end <= length(). Ranges come in rising order.
  void SetNoted(size_t begin, size_t end);
  // All positions from this one to length() have notes; length(): none.
  size_t noted_from() const;

  // ---- Sharing. REQUIRES no mark ----
  // Block b, now immutable. REQUIRES: the block is full.
  std::shared_ptr<KvBlock> ShareBlock(size_t b);
  // A copy of the block that length() lies in. REQUIRES: there is one, and it is not full.
  Result<std::shared_ptr<KvBlock>> CopyTail(MemoryLedger& ledger, MemoryTag tag) const;
  // REQUIRES settled().
  Result<std::shared_ptr<RecurrentCopy>> CopyRecurrent(MemoryLedger& ledger, MemoryTag tag) const;
  // An empty sequence becomes the one that these are of. blocks: those of [0, length).
  // recurrent: null when there are no recurrent layers. REQUIRES length() == 0.
  void Restore(std::span<const std::shared_ptr<KvBlock>> blocks, const RecurrentCopy* recurrent,
               size_t length);

 private:
  struct Slot {
    std::shared_ptr<KvBlock> block;
    bool shared = false;
  };
  struct Memory {
    AlignedBuffer memory;
    MemoryReservation reservation;
  };
  SequenceState(const StateShape& shape, MemoryLedger& ledger) : shape_(shape), ledger_(ledger) {}
  size_t HeadBytes(size_t kv_layer) const;
  Result<std::shared_ptr<KvBlock>> TakeBlock();

  const StateShape shape_;
  MemoryLedger& ledger_;
  size_t length_ = 0;
  std::optional<size_t> mark_;  // length when marked
  size_t mark_steps_ = 0;
  std::vector<size_t> kv_offset_;  // of each attention layer within a block
  std::vector<Slot> blocks_;
  std::vector<std::shared_ptr<KvBlock>> spare_;
  size_t noted_begin_ = 0, noted_end_ = 0;
  std::vector<Recurrent> recurrent_;
  Memory state_;  // matrices and histories
  Memory tape_;
  size_t tape_steps_ = 0;
};

}  // namespace mach::cache
