#include "engine/decoder.h"

#include <algorithm>

#include "sample/sampler.h"

namespace mach::engine {
namespace {

double Milliseconds(int64_t ns) { return static_cast<double>(ns) * 1e-6; }

}  // namespace

Result<std::unique_ptr<Decoder>> Decoder::Create(model::LoadedModel& model, const Clock& clock) {
  MACH_TRY(auto state, model.NewState());
  return std::unique_ptr<Decoder>(new Decoder(model, clock, std::move(state)));
}

Decoder::Decoder(model::LoadedModel& model, const Clock& clock,
                 std::unique_ptr<cache::SequenceState> state)
    : model_(model),
      clock_(clock),
      state_(std::move(state)),
      hidden_(model.workspace().max_rows() * model.config().hidden),
      logits_(model.config().vocab) {}

// One forward pass over tokens; the logits of the last one when wanted.
Status Decoder::Step(std::span<const TokenId> tokens, bool want_logits,
                     const std::atomic<bool>& cancelled) {
  MACH_RETURN_IF_ERROR(model_.model().Forward(
      model_.workspace(), {.tokens = tokens, .cancel = &cancelled}, *state_, hidden_.data()));
  if (want_logits) {
    const float* last = hidden_.data() + (tokens.size() - 1) * model_.config().hidden;
    model_.model().Logits(model_.workspace(), last, 1, logits_.data());
  }
  return Ok();
}

Result<FinishReason> Decoder::Run(const Request& request, const std::atomic<bool>& cancelled,
                                  Sink& sink, Timings& timings) {
  if (cancelled.load(std::memory_order_relaxed)) return FinishReason::kCancelled;
  const int64_t start = clock_.NowNs();
  const std::span<const TokenId> prompt = request.prompt;
  state_->Reset();
  const size_t chunk = model_.workspace().max_rows();
  for (size_t at = 0; at < prompt.size(); at += chunk) {
    const size_t n = std::min(chunk, prompt.size() - at);
    MACH_RETURN_IF_ERROR(Step(prompt.subspan(at, n), at + n == prompt.size(), cancelled));
    sink.OnPrefill(at + n, prompt.size());
  }
  const int64_t prefilled = clock_.NowNs();
  timings.prefill_ms = Milliseconds(prefilled - start);

  sample::Sampler sampler(request.sampling, model_.config().vocab);
  sampler.AcceptPrompt(prompt);
  const size_t most = std::min(request.max_tokens, model_.context_tokens() - prompt.size());
  for (size_t n = 0; n < most; ++n) {
    const TokenId token = sampler.Choose(logits_, prompt.size() + n);
    const auto& stops = request.stop_tokens;
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) return FinishReason::kStop;
    sampler.Accept(token);
    sink.OnToken(Describe(request, token));
    timings.output_tokens = n + 1;
    timings.decode_ms = Milliseconds(clock_.NowNs() - prefilled);
    if (n + 1 == most) break;
    if (cancelled.load(std::memory_order_relaxed)) return FinishReason::kCancelled;
    MACH_RETURN_IF_ERROR(Step({&token, 1}, true, cancelled));
  }
  return FinishReason::kLength;
}

TokenEvent Decoder::Describe(const Request& request, TokenId token) const {
  TokenEvent event{.token = token};
  if (!request.want_logprobs) return event;
  const sample::LogProbs p = sample::ComputeLogProbs(logits_, token, request.logprobs);
  event.logprob = p.chosen;
  for (const sample::LogProb& t : p.top) event.top.push_back({t.token, t.logprob});
  return event;
}

}  // namespace mach::engine
