#include "cli/illegal_instruction.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

TEST(IllegalInstruction, SaysWhatWasChosenAndWhatToTry) {
  const std::string text = IllegalInstructionText("avx512", "avx512, avx2, scalar");
  EXPECT_THAT(text, testing::HasSubstr("run as avx512;"));
  EXPECT_THAT(text, testing::HasSubstr("have avx512, avx2, scalar."));
  EXPECT_THAT(text, testing::HasSubstr("--isa scalar"));
}

// The sentence, the processor's own words, and still the end that the signal brings.
TEST(IllegalInstructionDeathTest, IsExplainedAndEndsTheProcess) {
  EXPECT_EXIT(
      {
        ExplainIllegalInstructions("avx2", "avx2, scalar");
        raise(SIGILL);
      },
      testing::KilledBySignal(SIGILL), "illegal instruction. The kernels run as avx2");
#if defined(__x86_64__)
  EXPECT_EXIT(
      {
        ExplainIllegalInstructions("avx2", "avx2, scalar");
        asm volatile("ud2");
      },
      testing::KilledBySignal(SIGILL), "flags");
#endif
}

}  // namespace
}  // namespace mach::cli
