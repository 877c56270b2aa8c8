// What every op needs beside its operands: kernels, threads, scratch memory, and how to compute.
//
// Conventions of all ops. Tensors are row-major and float32 unless said otherwise; [a, b] are their
// dimensions, the last one contiguous. Pointers are not owned and are valid during the call. An op
// runs on the calling thread and on the pool, and returns when its output is complete. It allocates
// nothing: its scratch is taken from the arena and given back before it returns, and a function
// ...ScratchBytes beside it says how many bytes that takes at most. Its output does not depend on
// the number of threads, nor on which rows are in the same call, nor on the instruction set of the
// kernels: not by a bit.
#pragma once

#include "base/arena.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "ops/tile_work.h"

namespace mach::ops {

// kInt8: products with quantized weights are integer dot products; the activations are quantized to
// 8 bits per group of columns. Products with dense weights are float32.
// kF32: every product is float32. Reference outputs are compared with this.
enum class Compute : uint8_t { kInt8, kF32 };

// Used by one forward pass at a time, which owns it; ops have it by reference.
struct Context {
  const kernels::KernelTable& kernels;
  ThreadPool& pool;
  Arena& arena;
  Compute compute = Compute::kInt8;
  TileWork tiles;  // scratch of Linear, DenseFfn and Moe; contents do not outlive a call
};

}  // namespace mach::ops
