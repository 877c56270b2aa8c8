// How close a model whose experts stream comes to its disk, to its arithmetic, and to itself with
// all experts in memory. What is compared is measured in turn, in the same rounds.
#include "base/random.h"
#include "cache/sequence_state.h"
#include "cli/bench/bench_tools.h"
#include "cli/bench/cmd_bench.h"
#include "cli/commands/open_options.h"
#include "cli/exit_codes.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/expert_store.h"
#include "experts/streaming_store.h"
#include "experts/trace.h"
#include "io/async_reader.h"
#include "io/file.h"
#include "io/sidecar.h"
#include "kernels/table.h"
#include "model/trace_observer.h"
#include "residency/headers.h"
#include "residency/loaded_model.h"

namespace mach::cli {
namespace {

constexpr size_t kRawBytes = size_t{256} << 20;
constexpr double kRawSeconds = 0.06;  // about what a token of decoding reads for
constexpr size_t kStartTokens = 16;

using Tokens = std::vector<TokenId>;

Tokens RandomTokens(size_t n, size_t vocab) {
  Tokens tokens(n);
  for (size_t i = 0; i < n; ++i) {
    tokens[i] = static_cast<TokenId>(UniformAt(1, i) * static_cast<double>(vocab));
  }
  return tokens;
}

// A model with one sequence that goes on token by token.
class Session {
 public:
  static Result<Session> Load(const residency::LoadOptions& options) {
    Session made;
    MACH_TRY(made.model_, residency::LoadedModel::Load(io::PosixFileSystem(), options));
    MACH_TRY(made.state_, made.model_->NewState());
    made.hidden_.resize(options.max_rows * made.model_->config().hidden);
    made.logits_.resize(made.model_->config().vocab);
    return made;
  }
  residency::LoadedModel& model() { return *model_; }
  experts::StreamingStore& store() { return *model_->streaming(); }

  // Seconds for a prompt in one chunk, in a sequence of its own.
  Result<double> Prompt(const Tokens& prompt, model::ForwardObserver* observer = nullptr) {
    state_->Reset();
    const double start = SecondsNow();
    MACH_RETURN_IF_ERROR(Forward(prompt, observer));
    return SecondsNow() - start;
  }
  // Seconds for n tokens, each the likeliest after the one before.
  Result<double> Decode(size_t n) {
    const double start = SecondsNow();
    for (size_t i = 0; i < n; ++i) {
      MACH_RETURN_IF_ERROR(model_->model().Logits(model_->workspace(), last_, 1, logits_.data()));
      const auto best = std::max_element(logits_.begin(), logits_.end());
      const Tokens next = {static_cast<TokenId>(best - logits_.begin())};
      MACH_RETURN_IF_ERROR(Forward(next, nullptr));
    }
    return SecondsNow() - start;
  }

 private:
  Status Forward(const Tokens& tokens, model::ForwardObserver* observer) {
    MACH_RETURN_IF_ERROR(model_->model().Forward(
        model_->workspace(), {.tokens = tokens, .observer = observer}, *state_, hidden_.data()));
    last_ = hidden_.data() + (tokens.size() - 1) * model_->config().hidden;
    return Ok();
  }
  std::unique_ptr<residency::LoadedModel> model_;
  std::unique_ptr<cache::SequenceState> state_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
  const float* last_ = nullptr;
};

class Bench {
 public:
  explicit Bench(const BenchStreamingOptions& options) : o_(options) {}

  Status Run() {
    MACH_RETURN_IF_ERROR(Measure());
    MACH_TRY(Session cold, Streaming(o_.bank));
    const experts::StreamingPlan& plan = cold.store().plan();
    std::printf("%zu experts of %zu KiB, bank of %zu, window %zu, %s, %zu threads, %s\n", experts_,
                record_ >> 10, plan.bank_slots, plan.window,
                std::string(io::ReadModeName(cold.store().read_mode())).c_str(),
                cold.model().threads(),
                std::string(kernels::IsaName(cold.model().kernels().isa)).c_str());
    MACH_RETURN_IF_ERROR(ColdDecode(cold));
    if (o_.decode_only) return Ok();
    MACH_TRY(Session full, Streaming(1));
    MACH_RETURN_IF_ERROR(FillBank(full));
    MACH_RETURN_IF_ERROR(Prefill(cold, full));
    cold = Session();
    MACH_TRY(Session resident, Load(Options()));
    return FullBank(full, resident);
  }

 private:
  Result<Session> Load(const residency::LoadOptions& options) { return Session::Load(options); }

  residency::LoadOptions Options() const {
    return {.checkpoint = o_.checkpoint,
            .context_tokens =
                std::max(kStartTokens + o_.tokens * (o_.rounds + 1), o_.prompt_tokens) + 1,
            .threads = o_.threads,
            .max_rows = std::max(o_.prompt_tokens, kStartTokens)};
  }

  Status Measure() {
    MACH_TRY(const residency::Headers headers,
             residency::Headers::Open(io::PosixFileSystem(), o_.checkpoint));
    MACH_TRY(const io::Sidecar sidecar,
             residency::OpenSidecar(io::PosixFileSystem(), *headers.checkpoint, headers.config,
                                    o_.sidecar_dir));
    const experts::Catalog catalog = residency::CatalogOf(sidecar);
    record_ = catalog.slot_bytes;
    experts_ = catalog.RecordCount();
    layers_ = catalog.MoeLayers();
    files_ = catalog.files;
    vocab_ = headers.config.vocab;
    return Ok();
  }

  Result<Session> Streaming(double share) {
    residency::LoadOptions options = Options();
    residency::ExpertOptions& sidecar = options.experts.emplace();
    sidecar.directory = o_.sidecar_dir;
    sidecar.bank_bytes = static_cast<size_t>(share * static_cast<double>(experts_) + 0.5) * record_;
    // What a guess reads is not told from what a layer lacks.
    sidecar.prefetch = experts::Prefetch::kOff;
    sidecar.reads = DirectReadsOf(o_.direct_pread);
    return Load(options);
  }

  // What the reader gives with `depth` records of the same files in flight.
  Result<double> Raw(io::ReadMode mode, size_t depth, uint64_t seed) {
    if (raw_memory_.size() == 0) {
      MACH_TRY(raw_memory_, AlignedBuffer::Allocate(std::max(kRawBytes, 64 * record_)));
    }
    MACH_TRY(ReadRate reads, ReadRate::Create({mode, files_, record_, depth}, raw_memory_.bytes()));
    return reads.Measure(kRawSeconds, seed);
  }

  Status ColdDecode(Session& cold) {
    const experts::BankCounters& c = cold.store().counters();
    const io::ReadMode mode = cold.store().read_mode();
    MACH_RETURN_IF_ERROR(cold.Prompt(RandomTokens(kStartTokens, vocab_)));
    std::vector<double> raw, arrived, usable, of_arrived, of_usable, rate, hits;
    size_t depth = cold.store().plan().window;
    for (size_t round = 0; round <= o_.rounds; ++round) {
      const uint64_t bytes = c.miss_bytes.Get();
      const uint64_t read_ns = c.miss_read_ns.Get();
      const uint64_t miss_ns = c.miss_ns.Get();
      const uint64_t hit = c.hits.Get();
      const uint64_t missed = c.misses.Get();
      double seconds = 0;
      double alone = 0;
      // In turns of one token, so that a busy moment of the disk touches both.
      for (size_t i = 0; i < o_.tokens; ++i) {
        MACH_TRY(const double reader, Raw(mode, depth, round * o_.tokens + i));
        MACH_TRY(const double s, cold.Decode(1));
        alone += reader;
        seconds += s;
      }
      const auto misses = static_cast<double>(c.misses.Get() - missed);
      depth = std::clamp<size_t>(
          static_cast<size_t>(misses / static_cast<double>(o_.tokens * layers_) + 0.5), 1,
          cold.store().plan().window);
      if (round == 0) continue;  // finds the depth
      const auto gb = static_cast<double>(c.miss_bytes.Get() - bytes);
      raw.push_back(alone / static_cast<double>(o_.tokens) / 1e9);
      arrived.push_back(gb / static_cast<double>(c.miss_read_ns.Get() - read_ns));
      usable.push_back(gb / static_cast<double>(c.miss_ns.Get() - miss_ns));
      of_arrived.push_back(100 * arrived.back() / raw.back());
      of_usable.push_back(100 * usable.back() / raw.back());
      rate.push_back(static_cast<double>(o_.tokens) / seconds);
      const auto had = static_cast<double>(c.hits.Get() - hit);
      hits.push_back(100 * had / (had + misses));
    }
    std::printf("cold decode    %.2f tokens/s without guesses, hits %.1f %%\n", Median(rate),
                Median(hits));
    std::printf("  reader alone %.2f GB/s at depth %zu\n", Median(raw), depth);
    std::printf("  while a layer misses, until the last read arrives %.2f GB/s, %.1f %%\n",
                Median(arrived), Median(of_arrived));
    std::printf("  and until the last is verified and handed out     %.2f GB/s, %.1f %%\n",
                Median(usable), Median(of_usable));
    return Ok();
  }

  Status AcquireAll(experts::StreamingStore& store, uint32_t layer, std::span<const ExpertId> ids) {
    experts::Acquisition acquired;
    MACH_RETURN_IF_ERROR(store.Acquire({LayerId(layer), ids}, acquired));
    while (!acquired.complete()) MACH_RETURN_IF_ERROR(store.Wait(acquired));
    return Ok();
  }

  Status FillBank(Session& full) {
    full.store().BeginPass({});
    const experts::Catalog& catalog = full.store().catalog();
    for (uint32_t layer = 0; layer < catalog.layers; ++layer) {
      std::vector<ExpertId> ids;
      for (uint32_t e = 0; e < catalog.experts; ++e) {
        if (catalog.Record(LayerId(layer), ExpertId(e)).bytes != 0) ids.push_back(ExpertId(e));
      }
      if (!ids.empty()) MACH_RETURN_IF_ERROR(AcquireAll(full.store(), layer, ids));
    }
    return Ok();
  }

  Status Prefill(Session& cold, Session& full) {
    const Tokens prompt = RandomTokens(o_.prompt_tokens, vocab_);
    experts::Trace trace;
    model::TraceObserver observer(full.model().config(), trace);
    MACH_RETURN_IF_ERROR(full.Prompt(prompt, &observer));
    MACH_RETURN_IF_ERROR(cold.Prompt(prompt));
    std::vector<double> both, reads, compute, ratio;
    uint64_t bytes = 0;
    for (size_t round = 0; round < o_.rounds; ++round) {
      MACH_TRY(const double c, full.Prompt(prompt));
      bytes = cold.store().counters().bytes_read.Get();
      MACH_TRY(const double b, cold.Prompt(prompt));
      bytes = cold.store().counters().bytes_read.Get() - bytes;
      MACH_TRY(const double r, ReadsAlone(cold.store(), trace));
      compute.push_back(c);
      both.push_back(b);
      reads.push_back(r);
      ratio.push_back(b / std::max(c, r));
    }
    std::printf(
        "prompt of %zu   %.3f s with %.2f GB read; reads alone %.3f s, compute alone %.3f "
        "s: %.3f x the longer\n",
        prompt.size(), Median(both), static_cast<double>(bytes) / 1e9, Median(reads),
        Median(compute), Median(ratio));
    return Ok();
  }

  // The acquisitions of a recorded prompt, with nothing computed.
  Result<double> ReadsAlone(experts::StreamingStore& store, const experts::Trace& trace) {
    const experts::TracePass& pass = trace.passes.front();
    const double start = SecondsNow();
    store.BeginPass({.rows = pass.rows});
    uint32_t moe_layer = 0;
    for (uint32_t layer = 0; layer < store.catalog().layers; ++layer) {
      if (store.catalog().LayerRecords(layer) == 0) continue;
      std::vector<bool> used(trace.experts, false);
      for (const uint16_t id : trace.Choices(pass, moe_layer)) used[id] = true;
      std::vector<ExpertId> ids;
      for (uint32_t e = 0; e < used.size(); ++e) {
        if (used[e]) ids.push_back(ExpertId(e));
      }
      MACH_RETURN_IF_ERROR(AcquireAll(store, layer, ids));
      ++moe_layer;
    }
    return SecondsNow() - start;
  }

  Status FullBank(Session& full, Session& resident) {
    for (Session* session : {&full, &resident}) {
      MACH_RETURN_IF_ERROR(session->Prompt(RandomTokens(kStartTokens, vocab_)));
      MACH_RETURN_IF_ERROR(session->Decode(o_.tokens));
    }
    std::vector<double> streaming, stacked, ratio;
    for (size_t round = 0; round < o_.rounds; ++round) {
      for (Session* session : {&full, &resident}) {
        MACH_RETURN_IF_ERROR(session->Prompt(RandomTokens(kStartTokens, vocab_)));
      }
      double seconds[2] = {};
      // In turns of one token, so that a busy moment touches both.
      for (size_t i = 0; i < 2 * o_.tokens; ++i) {
        MACH_TRY(const double s, (i % 2 == 0 ? full : resident).Decode(1));
        seconds[i % 2] += s;
      }
      streaming.push_back(static_cast<double>(o_.tokens) / seconds[0]);
      stacked.push_back(static_cast<double>(o_.tokens) / seconds[1]);
      ratio.push_back(streaming.back() / stacked.back());
    }
    std::printf("full bank      %.2f tokens/s, all experts in memory %.2f: %.3f of it\n",
                Median(streaming), Median(stacked), Median(ratio));
    return Ok();
  }

  const BenchStreamingOptions& o_;
  size_t record_ = 0;
  size_t experts_ = 0;
  size_t layers_ = 0;  // with experts
  size_t vocab_ = 0;
  std::vector<std::string> files_;
  AlignedBuffer raw_memory_;
};

}  // namespace

int RunBenchStreaming(const BenchStreamingOptions& options) {
  const Status status = Bench(options).Run();
  return status.ok() ? kExitOk : BenchFailed("streaming", status.error());
}

}  // namespace mach::cli
