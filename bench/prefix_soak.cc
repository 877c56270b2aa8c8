// Mixed agent traffic over a prefix cache with small budgets, for a bounded time: conversations
// that go on, side requests, prompts that part in the middle, some cancelled. Prints a line every
// tenth of the time, and in the end how resident memory went once the budgets were full. Fails when
// it grew, when a budget was passed at any look (one in 20 requests), or when a request hangs.
//
// MACH_MODEL: a checkpoint (models/mach-tiny); MACH_SECONDS (60).
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "base/log.h"
#include "base/prefix_point.h"
#include "base/random.h"
#include "prefix_engine.h"

namespace mach {
namespace {

constexpr size_t kMemory = size_t{24} << 20;
constexpr uint64_t kDisk = uint64_t{64} << 20;
constexpr size_t kConversations = 24;
constexpr size_t kLongest = 1500;
constexpr double kSettled = 0.3;  // of the time: the budgets are full
constexpr double kMostGrowth = 1.05;
constexpr size_t kLookEvery = 20;        // requests
constexpr unsigned kGraceSeconds = 120;  // beyond the time

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
    // With those that are being written, and damaged ones.
    if (file.path().filename().string().find(".mpfx1") == std::string::npos) continue;
    const uint64_t size = file.file_size(code);
    if (!code) bytes += size;  // else it has gone meanwhile
  }
  return bytes;
}

engine::PrefixOptions Cache(const std::string& directory) {
  engine::PrefixOptions prefix;
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
    request.prefix_points = {{kSystem, PrefixKind::kSystem}};
    if (kind == 0) {  // a side request
      request.prompt = System(c % 4);
      Say(request.prompt, 30);
    } else {
      if (kind == 1) text.resize(kSystem + Draw(text.size() - kSystem + 1));  // goes back
      Say(text, 20 + Draw(100));
      request.prompt = text;
    }
    request.prefix_points.push_back({request.prompt.size(), PrefixKind::kMessage});
    Say(request.prompt, 3);
    request.sampling.seed = draws_;
    request.max_tokens = 8;
    const auto answer = engine::Collect(engine_, request, {.cancelled = [&] { return kind == 2; }});
    if (!answer) {
      std::fprintf(stderr, "%s\n", answer.error().message.c_str());
      return false;
    }
    if (kind != 0) {
      text = request.prompt;
      text.insert(text.end(), answer->tokens.begin(), answer->tokens.end());
    }
    return true;
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

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// What was seen at one look.
struct Look {
  double share = 0;  // of the time
  size_t requests = 0;
  cache::PrefixCounters counters;
  uint64_t files = 0;
  size_t resident = 0;

  bool WithinBudgets() const {
    return counters.bytes <= kMemory && files <= kDisk && counters.disk.errors == 0 &&
           counters.disk.quarantined == 0;
  }
  void Print() const {
    const auto n = [](uint64_t v) { return static_cast<unsigned long>(v); };
    const cache::PrefixCounters& c = counters;
    std::printf(
        "%3.0f %%  requests %zu  hit rate %.3f  tokens saved %lu  from disk %lu  memory %.1f MiB "
        "in "
        "%lu  evicted %lu  disk %.1f MiB in %lu  evicted %lu  dropped %lu  resident %.1f MiB\n",
        share * 100, requests,
        static_cast<double>(c.hits) / static_cast<double>(std::max<uint64_t>(1, c.hits + c.misses)),
        n(c.tokens_saved), n(c.disk_hits), MiB(c.bytes), n(c.entries), n(c.evictions), MiB(files),
        n(c.disk.entries), n(c.disk.evictions), n(c.disk.dropped), MiB(resident));
    std::fflush(stdout);
  }
};

struct Resident {
  double share = 0;
  size_t bytes = 0;
};
// Over the last seven tenths, when the budgets are full.
bool IsFlat(const std::vector<Resident>& looks) {
  std::vector<size_t> first;
  std::vector<size_t> last;
  for (const Resident& look : looks) {
    if (look.share < kSettled) continue;
    (look.share < (1 + kSettled) / 2 ? first : last).push_back(look.bytes);
  }
  if (first.empty() || last.empty()) return false;
  const auto [low, high] = std::ranges::minmax(first);
  const auto [later_low, later_high] = std::ranges::minmax(last);
  std::printf("resident from %.0f %% on: first half %.1f to %.1f MiB, second half %.1f to %.1f\n",
              kSettled * 100, MiB(low), MiB(high), MiB(later_low), MiB(later_high));
  return static_cast<double>(later_high) <= kMostGrowth * static_cast<double>(high);
}

int Run() {
  ConfigureLog({.level = LogLevel::kError});
  const unsigned seconds = static_cast<unsigned>(std::stoul(Setting("MACH_SECONDS", "60")));
  alarm(seconds + kGraceSeconds);  // ends the process where a request hangs
  std::string pattern = std::filesystem::temp_directory_path() / "mach-prefix-soak-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  auto engine = NewEngine(Setting("MACH_MODEL", "models/mach-tiny"), 2048, Cache(directory));
  Traffic traffic(*engine);
  const auto start = std::chrono::steady_clock::now();
  std::vector<Resident> looks;
  size_t printed = 0;
  bool good = true;
  for (Look look; good && look.share < 1;) {
    good = traffic.Step();
    if (++look.requests % kLookEvery != 0) continue;
    look.share =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / seconds;
    look.counters = *engine->stats().prefix_cache;
    look.files = FileBytes(directory);
    look.resident = ResidentBytes();
    looks.push_back({look.share, look.resident});
    good = good && look.WithinBudgets();
    if (good && look.share * 10 < static_cast<double>(printed + 1)) continue;
    ++printed;
    look.Print();
  }
  good = IsFlat(looks) && good;
  engine.reset();  // it writes to the end
  std::filesystem::remove_all(directory);
  std::puts(good ? "within its bounds" : "FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace mach

int main() { return mach::Run(); }
