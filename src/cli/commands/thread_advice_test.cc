#include "cli/commands/thread_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ThreadAdvice, NamesBothNumbersAndWhy) {
  EXPECT_EQ(TooManyThreads("--threads", 0, 2), "");
  EXPECT_EQ(TooManyThreads("--threads", 2, 2), "");
  EXPECT_THAT(
      TooManyThreads("--threads", 16, 2),
      AllOf(HasSubstr("--threads 16 is more than the 2 processors"), HasSubstr("take turns"),
            HasSubstr("slower"), HasSubstr("leave --threads out, or give at most 2")));
}

}  // namespace
}  // namespace mach::cli
