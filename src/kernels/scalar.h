// The kernels in plain C++: what every other table must equal, and what runs where no vector unit
// that we know is found.
#pragma once

#include "kernels/table.h"

namespace mach::kernels {

extern const MatmulI8Kernels kScalarMatmulI8;
extern const MatmulF32Kernels kScalarMatmulF32;
extern const VectorKernels kScalarVector;
extern const AttentionKernels kScalarAttention;
extern const DeltaRuleKernels kScalarDeltaRule;

}  // namespace mach::kernels
