// SIGILL as a sentence: an instruction that this processor lacks is a fault of the build or of the
// choice of kernels, and the user should learn which, and how to go on.
#pragma once

#include <string>
#include <string_view>

namespace mach::cli {

// Writes, when an illegal instruction ends the process: the instruction set of the kernels, what
// the processor has, and the option that forces another; then lets the signal end the process as it
// would have. chosen: the instruction set ("avx2"); available: all that this machine has. Call
// once, before other threads start.
void ExplainIllegalInstructions(std::string_view chosen, std::string_view available);

// The sentence up to the processor's own words. Public for its test.
std::string IllegalInstructionText(std::string_view chosen, std::string_view available);

}  // namespace mach::cli
