// Counters, means and histograms of an engine's requests.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/histogram.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/stats.h"

namespace mach::engine {

// A request is accepted, starts, progresses and ends; or it is accepted and withdrawn; or it is
// rejected. Accepted, Rejected and Withdrawn come from any thread, Started to Ended from the engine
// thread, which runs one request at a time. Read from any thread, without a lock: amid the others,
// it may have seen one half of an event. Times are those of one monotonic clock.
class RequestCounters {
 public:
  RequestCounters();

  void Rejected();
  void Accepted();
  void Withdrawn();  // cancelled while it waited

  void Started(int64_t now_ns, double waited_ms);
  void Progressed(int64_t now_ns);  // a step of the prefill
  void FirstToken(int64_t now_ns, double since_submitted_ms);
  void NextToken(int64_t now_ns, double since_last_token_ms);
  // tokens: how many FirstToken and NextToken told of.
  void Ended(const Result<FinishReason>& result, uint64_t tokens, double ran_ms,
             const Timings& timings);

  RequestStats Read(int64_t now_ns) const;

 private:
  using Counter = std::atomic<uint64_t>;
  using Mean = std::atomic<double>;

  Counter queued_{0}, running_{0};
  Counter accepted_{0}, rejected_{0};
  Counter stopped_{0}, length_{0}, failed_{0};
  Counter cancelled_queued_{0}, cancelled_prefill_{0}, cancelled_decode_{0};
  Counter prompt_tokens_{0}, cached_tokens_{0}, output_tokens_{0};
  // Written by the engine thread alone.
  Mean prefill_tokens_per_second_{0}, token_interval_ms_{0}, mean_request_ms_{0};
  std::atomic<int64_t> progress_ns_{0};
  Histogram queue_ms_, prefill_ms_, first_token_ms_, token_ms_, request_ms_;
};

}  // namespace mach::engine
