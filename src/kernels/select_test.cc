#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/table.h"
#include "kernels/targets.h"

namespace mach::kernels {
namespace {

using testing::HasSubstr;

TEST(SelectKernels, NamesGoBothWays) {
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kNeon}) {
    EXPECT_EQ(IsaFromName(IsaName(isa)), isa);
  }
  EXPECT_EQ(IsaFromName("AVX2"), std::nullopt);
}

TEST(SelectKernels, TheBestIsFirstAndScalarIsLast) {
  const std::vector<Isa> isas = AvailableIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.back(), Isa::kScalar);
  EXPECT_EQ((*SelectKernels())->isa, isas.front());
}

// The force took: the table says so, and every group of kernels in it was compiled for the target.
TEST(SelectKernels, AForcedIsaIsTheOneThatRuns) {
  for (const Isa isa : AvailableIsas()) {
    const auto table = SelectKernels(isa);
    ASSERT_TRUE(table.ok());
    EXPECT_EQ((*table)->isa, isa);
    const bool vectors = isa != Isa::kScalar;
    EXPECT_EQ(MatmulI8For(isa) != nullptr, vectors);
    EXPECT_EQ(MatmulF32For(isa) != nullptr, vectors);
    EXPECT_EQ(VectorKernelsFor(isa) != nullptr, vectors);
    EXPECT_EQ(AttentionFor(isa) != nullptr, vectors);
    EXPECT_EQ(DeltaRuleFor(isa) != nullptr, vectors);
  }
}

TEST(SelectKernels, TablesShareNoVectorKernel) {
  const std::vector<Isa> isas = AvailableIsas();
  for (const Isa a : isas) {
    for (const Isa b : isas) {
      if (a == b) continue;
      const KernelTable& ta = **SelectKernels(a);
      const KernelTable& tb = **SelectKernels(b);
      EXPECT_NE(ta.matmul_i8, tb.matmul_i8);
      EXPECT_NE(ta.matmul_f32, tb.matmul_f32);
      EXPECT_NE(ta.rms_norm, tb.rms_norm);
      EXPECT_NE(ta.attention, tb.attention);
      EXPECT_NE(ta.delta_rule, tb.delta_rule);
    }
  }
}

TEST(SelectKernels, RefusesWhatTheMachineCannotRun) {
  const std::vector<Isa> isas = AvailableIsas();
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kNeon}) {
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) continue;
    const auto table = SelectKernels(isa);
    ASSERT_FALSE(table.ok());
    EXPECT_EQ(table.error().code, Code::kUnsupported);
    EXPECT_THAT(table.error().message, HasSubstr(std::string(IsaName(isa))));
    EXPECT_THAT(table.error().message, HasSubstr("scalar"));
  }
}

}  // namespace
}  // namespace mach::kernels
