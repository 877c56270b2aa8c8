// Memory of a model's sequences and forward passes, from its config alone.
#pragma once

#include <cstddef>

#include "cache/state_shape.h"
#include "model/config.h"

namespace mach::model {

// Shape of the state of a sequence of at most max_tokens.
cache::StateShape StateShapeOf(const ModelConfig& config, size_t max_tokens, bool kv_f16);

// A pass of more rows asks for nearly all experts of a layer: it prefetches none.
inline constexpr size_t kMostPredictedRows = 32;

// Bytes of scratch of a forward pass of `rows` tokens at `context` positions.
size_t ForwardScratchBytes(const ModelConfig& config, size_t rows, size_t context, size_t threads);

}  // namespace mach::model
