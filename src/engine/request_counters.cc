#include "engine/request_counters.h"

#include <algorithm>

#include "base/clock.h"

namespace mach::engine {
namespace {

constexpr double kTokenWeight = 0.1;    // of the newest token in the mean interval
constexpr double kRequestWeight = 0.2;  // of the newest request in the mean time

void Increment(std::atomic<uint64_t>& counter, uint64_t n = 1) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

// mean += weight * (value - mean), from the first value on. One writer.
void Blend(std::atomic<double>& mean, double value, double weight) {
  const double old = mean.load(std::memory_order_relaxed);
  mean.store(old == 0 ? value : old + weight * (value - old), std::memory_order_relaxed);
}

}  // namespace

RequestCounters::RequestCounters()
    : queue_ms_({1, 10, 100, 1e3, 5e3, 1e4, 3e4, 6e4, 3e5}),
      prefill_ms_({10, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 1e5}),
      first_token_ms_({10, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 1e5}),
      token_ms_({1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3}),
      request_ms_({50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5}) {}

void RequestCounters::Rejected() { Increment(rejected_); }

void RequestCounters::Accepted() {
  Increment(queued_);
  Increment(accepted_);
}

void RequestCounters::Withdrawn() {
  queued_.fetch_sub(1, std::memory_order_relaxed);
  Increment(cancelled_queued_);
}

void RequestCounters::Started(int64_t now_ns, double waited_ms) {
  queued_.fetch_sub(1, std::memory_order_relaxed);
  running_.store(1, std::memory_order_relaxed);
  progress_ns_.store(now_ns, std::memory_order_relaxed);
  queue_ms_.Observe(waited_ms);
}

void RequestCounters::Progressed(int64_t now_ns) {
  progress_ns_.store(now_ns, std::memory_order_relaxed);
}

void RequestCounters::FirstToken(int64_t now_ns, double since_submitted_ms) {
  progress_ns_.store(now_ns, std::memory_order_relaxed);
  first_token_ms_.Observe(since_submitted_ms);
  Increment(output_tokens_);
}

void RequestCounters::NextToken(int64_t now_ns, double since_last_token_ms) {
  progress_ns_.store(now_ns, std::memory_order_relaxed);
  token_ms_.Observe(since_last_token_ms);
  Blend(token_interval_ms_, since_last_token_ms, kTokenWeight);
  Increment(output_tokens_);
}

void RequestCounters::Ended(const Result<FinishReason>& result, uint64_t tokens, double ran_ms,
                            const Timings& timings) {
  if (!result.ok()) {
    Increment(failed_);
  } else if (*result == FinishReason::kStop) {
    Increment(stopped_);
  } else if (*result == FinishReason::kLength) {
    Increment(length_);
  } else {
    Increment(tokens == 0 ? cancelled_prefill_ : cancelled_decode_);
  }
  request_ms_.Observe(ran_ms);
  prefill_ms_.Observe(timings.prefill_ms);
  Blend(mean_request_ms_, ran_ms, kRequestWeight);
  Increment(prompt_tokens_, timings.prompt_tokens);
  Increment(cached_tokens_, timings.cached_tokens);
  const size_t computed =
      timings.prompt_tokens - std::min(timings.prompt_tokens, timings.cached_tokens);
  if (timings.prefill_ms > 0 && computed > 0) {
    prefill_tokens_per_second_.store(static_cast<double>(computed) * 1e3 / timings.prefill_ms,
                                     std::memory_order_relaxed);
  }
  running_.store(0, std::memory_order_relaxed);
}

RequestStats RequestCounters::Read(int64_t now_ns) const {
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  RequestStats s;
  s.queued = read(queued_);
  s.running = read(running_);
  s.accepted = read(accepted_);
  s.rejected = read(rejected_);
  s.stopped = read(stopped_);
  s.length = read(length_);
  s.failed = read(failed_);
  s.cancelled_queued = read(cancelled_queued_);
  s.cancelled_prefill = read(cancelled_prefill_);
  s.cancelled_decode = read(cancelled_decode_);
  s.prompt_tokens = read(prompt_tokens_);
  s.cached_tokens = read(cached_tokens_);
  s.output_tokens = read(output_tokens_);
  s.prefill_tokens_per_second = read(prefill_tokens_per_second_);
  const double interval_ms = read(token_interval_ms_);
  s.decode_tokens_per_second = interval_ms > 0 ? 1e3 / interval_ms : 0;
  s.mean_request_ms = read(mean_request_ms_);
  // Progress may have been made since the caller read the clock.
  const int64_t age_ns = std::max<int64_t>(0, now_ns - read(progress_ns_));
  if (s.running > 0) s.last_progress_ms = ToMilliseconds(age_ns);
  s.queue_ms = queue_ms_.Read();
  s.prefill_ms = prefill_ms_.Read();
  s.first_token_ms = first_token_ms_.Read();
  s.token_ms = token_ms_.Read();
  s.request_ms = request_ms_.Read();
  return s;
}

}  // namespace mach::engine
