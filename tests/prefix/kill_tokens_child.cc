// Converses over a prefix cache on disk until somebody kills it.
#include <cstdio>
#include <cstdlib>

#include "base/random.h"
#include "kill_tokens_work.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  using namespace mach::test;
  const auto engine = NewChatEngine(KillEngine(argv[1]));
  std::puts("open");
  std::fflush(stdout);
  const auto seed = static_cast<uint64_t>(std::atoll(argv[2]));
  const std::vector<Conversation> agents = Agents(kKillAgents);
  for (uint64_t step = 0;; ++step) {
    const double uniform = mach::UniformAt(seed, step);
    Converse(*engine, agents[static_cast<size_t>(uniform * static_cast<double>(kKillAgents))]);
  }
}
