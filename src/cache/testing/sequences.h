// Small states with contents that can be told apart, for tests.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cache/prefix_image.h"
#include "cache/sequence_state.h"

namespace mach::cache {

// Two attention layers, and a recurrent one unless told.
inline StateShape SmallShape(bool recurrent = true, size_t note_bytes = 8) {
  StateShape shape;
  shape.kv = {{2, 8}, {1, 4}};
  if (recurrent) shape.recurrent = {{2, 4, 16, 24, 4}};
  shape.max_tokens = 1024;
  shape.note_bytes = note_bytes;
  return shape;
}

inline std::vector<TokenId> Ids(size_t n, TokenId first = 100) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(first + static_cast<TokenId>(i % 50));
  return ids;
}

// Goes on with the tokens: what a position's bytes are depends on all tokens up to it, as in a
// model.
inline void Feed(SequenceState& state, std::span<const TokenId> tokens, uint32_t& hash) {
  const StateShape& shape = state.shape();
  MACH_CHECK(state.PrepareTokens(tokens.size()).ok());
  const size_t begin = state.length();
  for (size_t i = 0; i < tokens.size(); ++i) {
    hash = hash * 31 + static_cast<uint32_t>(tokens[i]) + 7;
    const size_t p = begin + i;
    for (size_t layer = 0; layer < shape.kv.size(); ++layer) {
      for (size_t head = 0; head < shape.kv[layer].heads; ++head) {
        const auto half = static_cast<uint16_t>(hash + layer + head);
        std::memcpy(state.Values(layer, head, p / kBlockTokens) + p % kBlockTokens * 2, &half, 2);
      }
    }
    for (size_t r = 0; r < shape.recurrent.size(); ++r) {
      state.recurrent(r).state[hash % shape.recurrent[r].state_floats()] += 1;
      state.recurrent(r).history[0] = static_cast<float>(hash % 1000);
    }
  }
  state.AdvanceTokens(tokens.size());
  if (shape.note_bytes == 0) return;
  for (size_t p = begin; p < state.length(); ++p) std::memcpy(state.Note(p), &p, sizeof p);
  state.SetNoted(begin, state.length());
}

// What a state remembers, as bytes.
inline std::string ContentOf(SequenceState& state) {
  const StateShape& shape = state.shape();
  std::string out;
  for (size_t p = 0; p < state.length(); ++p) {
    for (size_t layer = 0; layer < shape.kv.size(); ++layer) {
      for (size_t head = 0; head < shape.kv[layer].heads; ++head) {
        const std::byte* at = state.Values(layer, head, p / kBlockTokens) + p % kBlockTokens * 2;
        out.append(reinterpret_cast<const char*>(at), 2);
      }
    }
  }
  for (size_t r = 0; r < shape.recurrent.size(); ++r) {
    const auto& layer = state.recurrent(r);
    out.append(reinterpret_cast<const char*>(layer.state),
               layer.shape.state_floats() * sizeof(float));
    out.append(reinterpret_cast<const char*>(layer.history),
               layer.shape.history_floats() * sizeof(float));
  }
  return out;
}

// A sequence of its own that has seen the tokens.
struct Fed {
  std::unique_ptr<SequenceState> state;
  uint32_t hash = 1;
};
inline Fed Computed(const StateShape& shape, MemoryLedger& ledger,
                    std::span<const TokenId> tokens) {
  Fed fed;
  auto made = SequenceState::Create(shape, ledger);
  MACH_CHECK(made.ok());
  fed.state = *std::move(made);
  if (!tokens.empty()) Feed(*fed.state, tokens, fed.hash);
  return fed;
}

// The image of a state at its length.
inline std::shared_ptr<PrefixImage> ImageOf(SequenceState& state, std::span<const TokenId> tokens,
                                            MemoryLedger& ledger,
                                            PrefixKind kind = PrefixKind::kMessage) {
  auto image = std::make_shared<PrefixImage>();
  image->tokens.assign(tokens.begin(), tokens.end());
  image->kind = kind;
  for (size_t b = 0; b < tokens.size() / kBlockTokens; ++b) {
    image->blocks.push_back(state.ShareBlock(b));
  }
  if (tokens.size() % kBlockTokens != 0) {
    auto tail = state.CopyTail(ledger, MemoryTag::kPrefix);
    MACH_CHECK(tail.ok());
    (*tail)->cached = true;
    image->blocks.push_back(*std::move(tail));
  }
  if (!state.shape().recurrent.empty()) {
    auto copy = state.CopyRecurrent(ledger, MemoryTag::kPrefix);
    MACH_CHECK(copy.ok());
    image->recurrent = *std::move(copy);
  }
  return image;
}

}  // namespace mach::cache
