// What every op is given: the kernels, the threads, and how exact to be.
#pragma once

#include "base/arena.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "ops/tile_work.h"

namespace mach::ops {

// kInt8: activations of quantized weights are quantized per group, for integer dot products.
// kF32: every product in float32; what reference outputs are held against.
enum class Compute : uint8_t { kInt8, kF32 };

// Passed to every op by reference. Used by one forward pass at a time.
struct Context {
  const kernels::KernelTable& kernels;
  ThreadPool& pool;
  Arena& arena;
  Compute compute = Compute::kInt8;
  TileWork tiles;  // scratch of the op that runs; each use begins with Clear
};

}  // namespace mach::ops
