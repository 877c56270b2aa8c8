// How many threads decode fastest on this machine. More are not always faster: where cores are far
// apart, or shared with others, a small model's loops end before the threads have met.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "model/model.h"
#include "ops/context.h"

namespace mach::residency {

struct ThreadTiming {
  size_t threads = 0;
  int64_t token_ns = 0;  // of one token's forward pass
};

struct ThreadChoice {
  size_t threads = 1;
  std::vector<ThreadTiming> timings;  // in the order measured; empty: there was no choice
};

// Tries `most` threads, then half as many, and so on down to one, until fewer are clearly slower.
// The largest number within a tenth of the fastest wins, since prompts gain from every thread; one
// that would lose is measured again first. token_ns: the time of a token with that many threads.
ThreadChoice ChooseThreads(size_t most, const std::function<int64_t(size_t)>& token_ns);

// Measures forward passes of one token with the model's own weights, the routed experts replaced by
// zeros of the same size, and limits the pool to the choice. Takes some tenths of a second, of
// which a large model needs a few passes. Reserves memory for the time of the measurement; where
// the ledger has none left, all threads stay and nothing is measured.
Result<ThreadChoice> MeasureThreads(const model::Model& model, const kernels::KernelTable& kernels,
                                    ops::Compute compute, ThreadPool& pool, MemoryLedger& ledger,
                                    const Clock& clock);

// "2 of 4 threads (4: 1.31 ms, 2: 0.80 ms, 1: 1.02 ms a token)".
std::string ToText(const ThreadChoice& choice, size_t most);

}  // namespace mach::residency
