// The kernels in plain C++: what every other table must equal, and what runs where no vector unit
// that we know is found.
#pragma once

#include "kernels/table.h"

namespace mach::kernels {

void FillScalarMatmul(KernelTable& table);
void FillScalarVector(KernelTable& table);
void FillScalarAttention(KernelTable& table);
void FillScalarDeltaRule(KernelTable& table);

}  // namespace mach::kernels
