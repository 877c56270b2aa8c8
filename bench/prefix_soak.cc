// Mixed agent traffic over a prefix cache with small budgets, for a bounded time: conversations
// that go on, side requests, prompts that part in the middle, some cancelled. Prints a line every
// tenth of the time, and fails when memory grows or a budget is passed.
//
// MACH_MODEL: a checkpoint (models/mach-tiny); MACH_SECONDS (60).
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "base/random.h"
#include "prefix_engine.h"

namespace mach {
namespace {

constexpr size_t kMemory = size_t{24} << 20;
constexpr uint64_t kDisk = uint64_t{64} << 20;
constexpr size_t kConversations = 24;
constexpr size_t kLongest = 1500;
constexpr double kMostGrowth = 1.10;

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  file >> size >> resident;
  return resident * 4096;
}

uint64_t FileBytes(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code code;
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory, code)) {
    if (file.path().extension() == ".mpfx1") bytes += file.file_size(code);
  }
  return bytes;
}

cache::PrefixCacheOptions Cache(const std::string& directory) {
  cache::PrefixCacheOptions prefix;
  prefix.max_bytes = kMemory;
  prefix.max_entries = 64;
  prefix.disk.emplace();
  prefix.disk->directory = directory;
  prefix.disk->budget_bytes = kDisk;
  return prefix;
}

class Traffic {
 public:
  explicit Traffic(engine::Engine& engine) : engine_(engine), texts_(kConversations) {}

  // One request; false: it failed.
  bool Step() {
    const size_t kind = Draw(10);
    const size_t c = Draw(kConversations);
    std::vector<TokenId>& text = texts_[c];
    if (text.empty() || text.size() > kLongest) text = System(c % 4);
    engine::Request request;
    request.session = kind == 0 ? "" : "session-" + std::to_string(c);
    request.anchors = {{kSystem, engine::PrefixKind::kSystem}};
    if (kind == 0) {  // a side request
      request.prompt = System(c % 4);
      Say(request.prompt, 30);
    } else {
      if (kind == 1) text.resize(kSystem + Draw(text.size() - kSystem + 1));  // goes back
      Say(text, 20 + Draw(100));
      request.prompt = text;
    }
    request.anchors.push_back({request.prompt.size(), engine::PrefixKind::kMessage});
    Say(request.prompt, 3);
    request.sampling.seed = draws_;
    request.max_tokens = 8;
    auto sink = std::make_shared<EndSink>();
    auto generation = engine_.Submit(request, sink);
    if (!generation) return false;
    if (kind == 2) (*generation)->Cancel();
    sink->Wait();
    if (kind != 0) {
      text = request.prompt;
      text.insert(text.end(), sink->tokens.begin(), sink->tokens.end());
    }
    return !sink->failed;
  }

 private:
  static constexpr size_t kSystem = 150;
  size_t Draw(size_t n) {
    return static_cast<size_t>(UniformAt(5, draws_++) * static_cast<double>(n));
  }
  void Say(std::vector<TokenId>& text, size_t n) {
    for (size_t i = 0; i < n; ++i) text.push_back(static_cast<TokenId>(10 + Draw(1000)));
  }
  static std::vector<TokenId> System(size_t which) {
    std::vector<TokenId> text(kSystem);
    for (size_t i = 0; i < kSystem; ++i) text[i] = static_cast<TokenId>(20 + which * 7 + i);
    return text;
  }
  engine::Engine& engine_;
  std::vector<std::vector<TokenId>> texts_;
  uint64_t draws_ = 0;
};

int Run() {
  ConfigureLog({.level = LogLevel::kError});
  const int seconds = std::stoi(Setting("MACH_SECONDS", "60"));
  std::string pattern = std::filesystem::temp_directory_path() / "mach-prefix-soak-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  auto engine = NewEngine(Setting("MACH_MODEL", "models/mach-tiny"), 2048, Cache(directory));
  Traffic traffic(*engine);
  const auto start = std::chrono::steady_clock::now();
  size_t requests = 0;
  size_t settled = 0;  // resident, once the budgets are full
  int reported = 0;
  bool good = true;
  while (good && reported < 10) {
    good = traffic.Step();
    ++requests;
    const double share =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / seconds;
    if (share * 10 < reported + 1) continue;
    ++reported;
    const cache::PrefixCounters s = engine->stats().prefix_cache.counters;
    const size_t resident = ResidentBytes();
    const uint64_t files = FileBytes(directory);
    std::printf(
        "%3d %%  requests %zu  hit rate %.3f  tokens saved %lu  from disk %lu  memory %.1f MiB in "
        "%lu"
        "  evicted %lu  disk %.1f MiB in %lu  evicted %lu  dropped %lu  resident %.1f MiB\n",
        reported * 10, requests,
        static_cast<double>(s.hits) / static_cast<double>(std::max<uint64_t>(1, s.hits + s.misses)),
        static_cast<unsigned long>(s.tokens_saved), static_cast<unsigned long>(s.disk_hits),
        static_cast<double>(s.bytes) / (1 << 20), static_cast<unsigned long>(s.entries),
        static_cast<unsigned long>(s.evictions), static_cast<double>(files) / (1 << 20),
        static_cast<unsigned long>(s.disk.entries), static_cast<unsigned long>(s.disk.evictions),
        static_cast<unsigned long>(s.disk.dropped), static_cast<double>(resident) / (1 << 20));
    std::fflush(stdout);
    if (reported == 3) settled = resident;
    good = good && s.bytes <= kMemory && files <= kDisk && s.disk.errors == 0 &&
           s.disk.quarantined == 0;
    if (reported > 3) {
      good = good && static_cast<double>(resident) <= kMostGrowth * static_cast<double>(settled);
    }
  }
  engine.reset();  // it writes to the end
  std::filesystem::remove_all(directory);
  std::puts(good ? "within its bounds" : "FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace mach

int main() { return mach::Run(); }
