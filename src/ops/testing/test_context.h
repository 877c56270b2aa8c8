// Contexts for tests of ops: any instruction set of the machine, one thread or several, and an
// arena of exactly the size that the op's ScratchBytes function gives.
#pragma once

#include <array>
#include <bit>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/table.h"
#include "ops/context.h"

namespace mach::ops {

inline constexpr size_t kMostTestThreads = 3;

// A pool for each number of threads, shared by all tests of the binary.
inline ThreadPool& TestPool(size_t threads) {
  static std::array<std::unique_ptr<ThreadPool>, kMostTestThreads + 1> pools;
  if (pools[threads] == nullptr) pools[threads] = std::make_unique<ThreadPool>(threads);
  return *pools[threads];
}

class TestContext {
 public:
  TestContext(kernels::Isa isa, size_t threads, size_t arena_bytes, Compute compute)
      : arena_(*Arena::Create(arena_bytes)),
        context_{**kernels::SelectKernels(isa), TestPool(threads), arena_, compute} {}
  Context& operator*() { return context_; }

 private:
  Arena arena_;
  Context context_;
};

inline void ExpectSameBits(const std::vector<float>& expected, const std::vector<float>& got,
                           const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(expected[i]), std::bit_cast<uint32_t>(got[i]))
        << what << ", element " << i << ": " << expected[i] << " and " << got[i];
  }
}

// Runs an op with every instruction set of this machine, each with 1, 2 and 3 threads, and expects
// the same bits from all (DESIGN promise 1). Returns the output. run(context) returns the op's
// output; arena_bytes(threads) is the size of the arena.
inline std::vector<float> RunEverywhere(Compute compute,
                                        const std::function<size_t(size_t)>& arena_bytes,
                                        const std::function<std::vector<float>(Context&)>& run) {
  std::vector<float> first;
  for (const kernels::Isa isa : kernels::AvailableIsas()) {
    for (size_t threads = 1; threads <= kMostTestThreads; ++threads) {
      TestContext context(isa, threads, arena_bytes(threads), compute);
      const std::vector<float> got = run(*context);
      if (first.empty()) first = got;
      ExpectSameBits(first, got,
                     std::string(kernels::IsaName(isa)) + ", threads " + std::to_string(threads));
    }
  }
  return first;
}

}  // namespace mach::ops
