#include "engine/decoder.h"

#include <algorithm>

#include "base/clock.h"
#include "experts/streaming_store.h"
#include "sample/sampler.h"

namespace mach::engine {
namespace {

TokenEvent Describe(const Request& request, TokenId token, std::span<const float> logits) {
  TokenEvent event{.token = token};
  if (!request.want_logprobs) return event;
  const sample::LogProbs p = sample::ComputeLogProbs(logits, token, request.logprobs);
  event.logprob = p.chosen;
  for (const sample::LogProb& t : p.top) event.top.push_back({t.token, t.logprob});
  return event;
}

FinishReason ReasonOf(spec::DecodeEnd end) {
  switch (end) {
    case spec::DecodeEnd::kStopped:
      return FinishReason::kStop;
    case spec::DecodeEnd::kCancelled:
      return FinishReason::kCancelled;
    case spec::DecodeEnd::kLimit:
      break;
  }
  return FinishReason::kLength;
}

}  // namespace

Result<std::unique_ptr<Decoder>> Decoder::Create(residency::LoadedModel& model, const Clock& clock,
                                                 const DecoderOptions& options) {
  std::unique_ptr<Decoder> made(new Decoder(model, clock));
  const bool keep_features = options.draft != nullptr && options.prefix_cache;
  const size_t feature_bytes =
      keep_features ? spec::Drafter::ContextFeatureBytes(options.draft->config()) : 0;
  MACH_TRY(made->state_, model.NewState(feature_bytes));
  std::unique_ptr<spec::Drafter> drafter;
  if (options.draft != nullptr) {
    made->draft_ = options.draft;
    MACH_TRY(drafter,
             spec::Drafter::Create(*options.draft, model.model(), model.kernels(), model.pool(),
                                   model.compute(), model.context_tokens(), model.ledger()));
  }
  made->modes_ =
      std::make_unique<spec::SpeculationModes>(std::move(drafter), options.policy, clock);
  MACH_TRY(made->verifier_, spec::Verifier::Create(model.model(), model.workspace(),
                                                   made->modes_->taps(), model.ledger()));
  if (options.prefix_cache) {
    MACH_TRY(const std::string identity, model.StateIdentity());
    const std::string drafts = keep_features ? options.draft->ContextFeatureIdentity() : "";
    MACH_TRY(made->prefix_cache_,
             cache::PrefixCache::Create(made->state_->shape(), cache::Sha1(identity + drafts),
                                        *options.prefix_cache, model.ledger()));
  }
  return made;
}

Status Decoder::Prefill(const Request& request, const std::atomic<bool>& cancelled, Sink& sink) {
  const std::span<const TokenId> prompt = request.prompt;
  std::span<const uint32_t> taps;
  if (speculator_ != nullptr) {
    speculator_->BeginRequest(request.stop_tokens, state_.get());
    taps = speculator_->taps();
  }
  for (size_t at = state_->length(); at < prompt.size();) {
    const size_t n = std::min(verifier_->max_rows(), prefix_->NextStop(at) - at);
    const bool last = at + n == prompt.size();
    MACH_RETURN_IF_ERROR(
        verifier_->Prefill(prompt.subspan(at, n), taps, &cancelled, last, *state_));
    if (speculator_ != nullptr) speculator_->ObservePrompt(verifier_->features(), n);
    at += n;
    prefix_->Reached(at, speculator_);
    sink.OnPrefill(at, prompt.size());
  }
  return Ok();
}

Result<FinishReason> Decoder::Run(const Request& request, const std::atomic<bool>& cancelled,
                                  Sink& sink, Timings& timings) {
  spent_ = true;
  state_->Reset();
  sequence_ = request.prompt;
  if (cancelled.load(std::memory_order_relaxed)) return FinishReason::kCancelled;
  MACH_TRY(speculator_, modes_->For(request.speculation));
  const int64_t start = clock_.NowNs();
  prefix_.emplace(prefix_cache_.get(), request, model_, *state_);
  timings.cached_tokens = prefix_->cached_tokens();
  sink.OnPrefill(timings.cached_tokens, request.prompt.size());
  MACH_RETURN_IF_ERROR(Prefill(request, cancelled, sink));
  const int64_t prefilled = clock_.NowNs();
  timings.prefill_ms = ToMilliseconds(prefilled - start);

  sample::Sampler sampler(request.sampling, model_.config().vocab);
  sampler.AcceptPrompt(request.prompt);
  std::vector<TokenId> stops = request.stop_tokens;
  std::sort(stops.begin(), stops.end());
  const auto emit = [&](TokenId token, std::span<const float> logits) {
    if (std::binary_search(stops.begin(), stops.end(), token)) return false;
    sink.OnToken(Describe(request, token, logits));
    if (timings.output_tokens++ == 0) prefix_->FirstToken();
    timings.decode_ms = ToMilliseconds(clock_.NowNs() - prefilled);
    return true;
  };
  const size_t room = model_.context_tokens() - request.prompt.size();
  std::function<uint64_t()> stall_ns;
  if (const experts::StreamingStore* store = model_.streaming()) {
    stall_ns = [store] { return store->counters().stall_ns.Get(); };
  }
  MACH_TRY(const spec::DecodeEnd end,
           spec::Decode({.verifier = *verifier_,
                         .state = *state_,
                         .sampler = sampler,
                         .sequence = sequence_,
                         .speculator = speculator_,
                         .max_tokens = std::min(request.max_tokens, room),
                         .cancelled = cancelled,
                         .clock = clock_,
                         .stall_ns = stall_ns},
                        emit));
  spent_ = false;
  return ReasonOf(end);
}

void Decoder::EndRequest() {
  if (!prefix_) return;
  if (!spent_) prefix_->SaveAnswer(sequence_, speculator_);
  prefix_.reset();
}

}  // namespace mach::engine
