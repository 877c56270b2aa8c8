// What one sequence remembers, as plain data: the model fills it, the cache allocates by it.
#pragma once

#include <cstddef>
#include <vector>

namespace mach::cache {

inline constexpr size_t kBlockTokens = 64;   // positions of a KV block
inline constexpr size_t kPanelColumns = 16;  // value columns of a recurrent state panel

// Keys and values of one attention layer.
struct KvShape {
  size_t heads = 0;
  size_t head_dim = 0;
};

// State of one gated delta net layer: a matrix [key_dim, value_dim] per value head, and the last
// conv_taps - 1 inputs of its convolution.
struct RecurrentShape {
  size_t heads = 0;  // value heads
  size_t key_dim = 0;
  size_t value_dim = 0;
  size_t conv_channels = 0;
  size_t conv_taps = 0;

  size_t panels() const { return (value_dim + kPanelColumns - 1) / kPanelColumns; }
  size_t state_floats() const { return heads * panels() * key_dim * kPanelColumns; }
  size_t history_floats() const { return (conv_taps - 1) * conv_channels; }
};

struct StateShape {
  std::vector<KvShape> kv;                // attention layers, in order
  std::vector<RecurrentShape> recurrent;  // recurrent layers, in order
  bool kv_f16 = true;
  size_t max_tokens = 0;
  // Of each position, for whoever follows the sequence (a drafter): they lie in the blocks and are
  // shared, saved and restored with them.
  size_t note_bytes = 0;

  // Of one block of kBlockTokens positions: keys and values of all attention layers, then the
  // notes; whole pages. 0: the sequence has no blocks.
  size_t BlockBytes() const;
  size_t NotesOffset() const;  // in a block
  size_t RecurrentBytes() const;
  // What a tape of `steps` holds (SequenceState::Mark).
  size_t TapeBytes(size_t steps) const;
};

}  // namespace mach::cache
