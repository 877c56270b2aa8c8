// Time to the first token of a prompt whose prefix was seen before: computed, from memory, from
// disk. One run, rounds interleaved.
//
// MACH_MODEL: a checkpoint (models/mach-tiny); MACH_PREFIX: tokens of the prefix (2000);
// MACH_MORE: tokens that follow it (1); MACH_ROUNDS (5); MACH_BLOCK: tokens of a link of the index
// (64).
#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "base/prefix_point.h"
#include "prefix_engine.h"

namespace mach {
namespace {

constexpr size_t kContext = 8192;

TokenId More() { return static_cast<TokenId>(std::stoi(Setting("MACH_MORE", "1"))); }

engine::PrefixOptions Cache(const std::string& directory) {
  engine::PrefixOptions prefix;
  prefix.max_bytes = size_t{1} << 30;
  prefix.block_tokens = static_cast<size_t>(std::stoul(Setting("MACH_BLOCK", "64")));
  prefix.disk.emplace();
  prefix.disk->directory = directory;
  prefix.disk->budget_bytes = uint64_t{16} << 30;
  return prefix;
}

// Milliseconds to the first token.
double FirstToken(engine::Engine& engine, const std::vector<TokenId>& prefix, TokenId last,
                  size_t& cached) {
  engine::Request request;
  request.prompt = prefix;
  for (TokenId i = 0; i < More(); ++i) request.prompt.push_back(last + i);
  request.prefix_points = {{prefix.size(), PrefixKind::kMessage}};
  request.sampling.temperature = 0;
  request.max_tokens = 1;
  const auto start = std::chrono::steady_clock::now();
  auto first = start;
  const engine::Answer answer = OrExit(engine::Collect(
      engine, request,
      {.on_token = [&](const engine::TokenEvent&) { first = std::chrono::steady_clock::now(); }}));
  cached = answer.timings.cached_tokens;
  return std::chrono::duration<double, std::milli>(first - start).count();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The fastest tells what the machine would do if it were alone with this.
void PrintRow(const char* name, const std::vector<double>& times, const std::vector<double>& cold) {
  const double fastest = std::ranges::min(times);
  std::printf("  %-12s %10.2f ms  %6.2f %%  fastest %10.2f ms  %6.2f %%\n", name, Median(times),
              100 * Median(times) / Median(cold), fastest, 100 * fastest / std::ranges::min(cold));
}

int Run() {
  ConfigureLog({.level = LogLevel::kWarning});
  const std::string checkpoint = Setting("MACH_MODEL", "models/mach-tiny");
  const auto n = static_cast<size_t>(std::stoul(Setting("MACH_PREFIX", "2000")));
  const int rounds = std::stoi(Setting("MACH_ROUNDS", "5"));
  std::string pattern = std::filesystem::temp_directory_path() / "mach-prefix-bench-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  std::vector<TokenId> prefix(n);
  for (size_t i = 0; i < n; ++i) prefix[i] = static_cast<TokenId>(20 + i * i % 8000);

  std::vector<double> cold, memory, disk;
  size_t cached = 0;
  const auto plain = NewEngine(checkpoint, kContext, std::nullopt);
  auto warm = NewEngine(checkpoint, kContext, Cache(directory));
  FirstToken(*warm, prefix, 100, cached);
  while (warm->stats().prefix_cache->disk.entries == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FirstToken(*plain, prefix, 100, cached);  // the first one of a process is slower
  for (int round = 0; round < rounds; ++round) {
    const TokenId last = static_cast<TokenId>(200 + 10 * round);
    cold.push_back(FirstToken(*plain, prefix, last, cached));
    memory.push_back(FirstToken(*warm, prefix, last, cached));
    if (cached != n) return 1;
    const auto restarted = NewEngine(checkpoint, kContext, Cache(directory));
    disk.push_back(FirstToken(*restarted, prefix, last, cached));
    if (cached != n || restarted->stats().prefix_cache->disk_hits != 1) return 1;
  }
  std::printf("%s: time to first token, prefix of %zu tokens and %d more, median of %d\n",
              checkpoint.c_str(), n, More(), rounds);
  PrintRow("computed", cold, cold);
  PrintRow("from memory", memory, cold);
  PrintRow("from disk", disk, cold);
  std::printf("  memory of the cache %.2f MiB in %lu states\n",
              static_cast<double>(warm->stats().prefix_cache->bytes) / (1 << 20),
              static_cast<unsigned long>(warm->stats().prefix_cache->entries));
  warm.reset();  // it writes to the end
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace mach

int main() { return mach::Run(); }
