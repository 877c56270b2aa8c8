// Which targets Highway compiles our vector files for, and how their kernels reach a table. To be
// included first by every file that includes Highway.
#pragma once

// Each target costs seconds of compile time in each vector file. x86: every machine that is worth
// running Mach on has AVX2; older ones run the scalar table. arm64: NEON fixes the vector length,
// on which the lane count of our layouts rests.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// AVX-512 with VNNI (Ice Lake, Zen 4 and later); off by default in Highway.
#define HWY_WANT_AVX3_DL

#if defined(__aarch64__)
// Highway then neither picks targets at run time nor compiles with +crypto, which its NEON target
// has otherwise: NEON is all that our code needs, and every arm64 processor has it, while the
// cryptographic instructions are missing in some (Raspberry Pi 4).
#define TOOLCHAIN_MISS_SYS_AUXV_H
#endif

#include "hwy/targets.h"
#include "kernels/table.h"

namespace mach::kernels {

// The kernels that were compiled for `isa`; nullptr when this binary has none. They are constant
// data, and these functions are compiled for the baseline processor: nothing of a vector target
// runs before a kernel is called. A function that stores the pointers must not be compiled for the
// target of its kernels: the compiler would join its stores into vector moves, which end the
// process on a processor without that target.
const MatmulI8Kernels* MatmulI8For(Isa isa);
const MatmulF32Kernels* MatmulF32For(Isa isa);
const VectorKernels* VectorKernelsFor(Isa isa);
const AttentionKernels* AttentionFor(Isa isa);
const DeltaRuleKernels* DeltaRuleFor(Isa isa);

}  // namespace mach::kernels

// MACH_VECTOR_TARGET: whether the current target is one of ours (Highway's fallback is not).
#define MACH_VECTOR_TARGET ((HWY_TARGET & (HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL | HWY_NEON)) != 0)
