#include "residency/thread_choice.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "cache/sequence_state.h"
#include "experts/expert_store.h"
#include "kernels/table.h"

namespace mach::residency {
namespace {

// Within this of the fastest, more threads win: prompts gain from each, and a measurement is noisy.
constexpr double kTie = 1.10;
// Fewer threads that take this much longer than the fastest end the search.
constexpr double kClearlySlower = 1.25;

// Of one number of threads.
constexpr int64_t kMeasureNs = 40'000'000;
constexpr int kLeastPasses = 3;
constexpr int kMostPasses = 50;
// A model whose passes take longer than this is measured by one pass after a warm one.
constexpr int64_t kLongPassNs = 100'000'000;

// Zeros in place of experts: enough different ones that a token's do not stay in the processor's
// caches, as its real ones do not.
class ZeroStore final : public experts::ExpertStore {
 public:
  static constexpr size_t kMostBytes = size_t{64} << 20;

  // records: at least one token's experts of a layer.
  static Result<std::unique_ptr<ZeroStore>> Create(size_t records, size_t record_bytes,
                                                   MemoryLedger& ledger) {
    auto made = std::make_unique<ZeroStore>();
    made->record_bytes_ = record_bytes;
    made->records_ = records;
    MACH_TRY(made->reservation_, ledger.Reserve(MemoryTag::kScratch, records * record_bytes));
    MACH_TRY(made->memory_, AlignedBuffer::Allocate(records * record_bytes));
    // Written, since untouched pages are all one page of the system.
    std::ranges::fill(made->memory_.bytes(), std::byte{0});
    return made;
  }

  Status Acquire(const experts::ExpertRequest& request, experts::Acquisition& out) override {
    Begin(out, request.ids.size());
    for (uint32_t i = 0; i < request.ids.size(); ++i) {
      next_ = next_ + 1 < records_ ? next_ + 1 : 0;
      HandOut(out, i, 0, memory_.bytes().subspan(next_ * record_bytes_, record_bytes_));
    }
    return Ok();
  }
  Status Wait(experts::Acquisition&) override {
    return Error{Code::kInvalidArgument, "an acquisition of zeros is complete from the start"};
  }

 private:
  void Unpin(uint32_t) override {}
  size_t record_bytes_ = 0;
  size_t records_ = 0;
  size_t next_ = 0;
  MemoryReservation reservation_;
  AlignedBuffer memory_;
};

size_t MostExpertsOfAToken(const model::ModelConfig& config) {
  size_t most = 0;
  for (const model::LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) most = std::max(most, moe->top_k);
  }
  return most;
}

// The median of passes over one token after another.
Result<int64_t> TimePasses(const model::Model& model, model::Workspace& workspace,
                           cache::SequenceState& state, std::span<float> hidden,
                           std::span<float> logits, const Clock& clock) {
  std::vector<int64_t> passes;
  const int64_t begin = clock.NowNs();
  for (int i = 0; i <= kMostPasses; ++i) {
    const TokenId token{0};
    const int64_t start = clock.NowNs();
    MACH_RETURN_IF_ERROR(model.Forward(workspace, {.tokens = {&token, 1}}, state, hidden.data()));
    MACH_RETURN_IF_ERROR(model.Logits(workspace, hidden.data(), 1, logits.data()));
    const int64_t end = clock.NowNs();
    if (i == 0) continue;  // threads wake, pages are touched
    passes.push_back(end - start);
    if (passes.back() > kLongPassNs || (i >= kLeastPasses && end - begin > kMeasureNs)) break;
  }
  std::ranges::nth_element(passes, passes.begin() + static_cast<ptrdiff_t>(passes.size() / 2));
  return passes[passes.size() / 2];
}

}  // namespace

ThreadChoice ChooseThreads(size_t most, const std::function<int64_t(size_t)>& token_ns) {
  ThreadChoice choice{.threads = most};
  int64_t fastest = std::numeric_limits<int64_t>::max();
  for (size_t threads = most; threads >= 1; threads /= 2) {
    const int64_t ns = token_ns(threads);
    choice.timings.push_back({threads, ns});
    fastest = std::min(fastest, ns);
    if (static_cast<double>(ns) > static_cast<double>(fastest) * kClearlySlower) break;
  }
  for (ThreadTiming& timing : choice.timings) {
    const auto wins = [&] {
      return static_cast<double>(timing.token_ns) <= static_cast<double>(fastest) * kTie;
    };
    // Other programs may have had a processor for that moment, and the choice is kept for long.
    if (!wins()) timing.token_ns = std::min(timing.token_ns, token_ns(timing.threads));
    if (!wins()) continue;
    choice.threads = timing.threads;
    break;
  }
  return choice;
}

Result<ThreadChoice> MeasureThreads(const model::Model& model, const kernels::KernelTable& kernels,
                                    ops::Compute compute, ThreadPool& pool, MemoryLedger& ledger,
                                    const Clock& clock) {
  const ThreadChoice all{.threads = pool.threads()};
  if (pool.threads() == 1) return all;
  const model::ModelConfig& config = model.config();
  const size_t record = model.expert_layout().record_bytes();
  const size_t least = MostExpertsOfAToken(config);
  const size_t records = least == 0 ? 0 : std::max(least, ZeroStore::kMostBytes / record);
  constexpr size_t kContext = kMostPasses + 1;
  const auto no_memory = [&](const Error& error) -> Result<ThreadChoice> {
    if (error.code == Code::kNoMemory) return all;
    return error;
  };
  auto experts = ZeroStore::Create(records, record, ledger);
  if (!experts) return no_memory(experts.error());
  auto workspace =
      model::Workspace::Create(model, kernels, pool, **experts, compute, 1, kContext, ledger);
  if (!workspace) return no_memory(workspace.error());
  std::vector<float> hidden(config.hidden);
  std::vector<float> logits(config.vocab);

  Status failed = Ok();
  ThreadChoice choice = ChooseThreads(pool.threads(), [&](size_t threads) -> int64_t {
    pool.Limit(threads);
    auto state = cache::SequenceState::Create(
        model.StateShape(kContext, compute == ops::Compute::kInt8), ledger);
    if (!state) {
      failed = state.error();
      return 1;
    }
    const auto ns = TimePasses(model, **workspace, **state, hidden, logits, clock);
    if (!ns) failed = ns.error();
    return ns ? *ns : 1;
  });
  if (!failed) {
    pool.Limit(pool.threads());
    return no_memory(failed.error());
  }
  pool.Limit(choice.threads);
  return choice;
}

std::string ToText(const ThreadChoice& choice, size_t most) {
  std::string text = std::to_string(choice.threads) + " of " + std::to_string(most) + " threads";
  for (size_t i = 0; i < choice.timings.size(); ++i) {
    char one[48];
    std::snprintf(one, sizeof one, "%s%zu: %.2f ms", i == 0 ? " (" : ", ",
                  choice.timings[i].threads, static_cast<double>(choice.timings[i].token_ns) / 1e6);
    text += one;
  }
  if (!choice.timings.empty()) text += " a token)";
  return text;
}

}  // namespace mach::residency
