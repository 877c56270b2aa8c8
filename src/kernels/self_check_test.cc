#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/table.h"
#include "quant/tiled.h"

namespace mach::kernels {
namespace {

using ::testing::HasSubstr;

TEST(SelfTest, PassesWithEveryTableOfThisMachine) {
  for (const Isa isa : AvailableIsas()) {
    const Status status = SelfTest(**SelectKernels(isa));
    EXPECT_TRUE(status.ok()) << IsaName(isa) << ": " << status.error().message;
  }
}

// Off by one unit in the last place of one output.
TEST(SelfTest, NamesTheKernelThatDiffers) {
  const KernelTable& sound = **SelectKernels();
  static const KernelTable* base = &sound;

  KernelTable table = sound;
  table.delta_rule = [](const DeltaRuleArgs& args) {
    base->delta_rule(args);
    args.out[5] = std::nextafter(args.out[5], 10.0f);
  };
  EXPECT_THAT(SelfTest(table).error().message, HasSubstr("the delta rule"));

  table = sound;
  table.matmul_i8 = [](const quant::TiledMatrix& w, size_t begin, size_t end,
                       const QuantizedRows& x, size_t rows, const OutputRows& out) {
    base->matmul_i8(w, begin, end, x, rows, out);
    float& last = out.data[(rows - 1) * out.stride + w.layout.rows - 1];
    last = std::nextafter(last, 1e6f);
  };
  EXPECT_THAT(SelfTest(table).error().message, HasSubstr("4-bit weights"));

  table = sound;
  table.softmax = [](float* x, size_t n) {
    base->softmax(x, n);
    x[n - 1] = 0;
  };
  EXPECT_THAT(SelfTest(table).error().message, HasSubstr("a vector kernel"));

  table = sound;
  table.attention = [](const AttentionArgs& args) {
    base->attention(args);
    args.sum[1] = std::nextafter(args.sum[1], 0.0f);
  };
  EXPECT_THAT(SelfTest(table).error().message, HasSubstr("attention"));
}

}  // namespace
}  // namespace mach::kernels
