// Saves, evicts and restores prefixes in a directory until somebody kills it. Exits with 1 when a
// restored state is not the one that was saved.
#include <cstdio>
#include <cstdlib>

#include "kill_work.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  using namespace mach::cache;
  mach::MemoryLedger ledger(size_t{256} << 20);
  const StateShape shape = SmallShape();
  auto tier = DiskTier::Open(KillOptions(argv[1], shape));
  if (!tier.ok()) {
    std::fprintf(stderr, "%s\n", tier.error().message.c_str());
    return 3;
  }
  std::puts("open");
  std::fflush(stdout);
  const auto seed = static_cast<uint64_t>(std::atoll(argv[2]));
  for (uint64_t step = 0;; ++step) {
    const std::vector<mach::TokenId> ids = KillIds(mach::UniformAt(seed, step));
    if (step % 3 == 2) {
      if (!RestoresRightly(**tier, ids, shape, ledger)) {
        std::fprintf(stderr, "a wrong state was restored\n");
        return 1;
      }
    } else {
      Fed fed = Computed(shape, ledger, ids);
      (*tier)->Save(ImageOf(*fed.state, ids, ledger), SaveTrigger::kCold);
      if (step % 2 == 0) (*tier)->Flush();
    }
  }
}
