#include "engine/request_counters.h"

#include <gtest/gtest.h>

namespace mach::engine {
namespace {

constexpr int64_t kMs = 1'000'000;

uint64_t Ends(const RequestStats& s) {
  return s.stopped + s.length + s.failed + s.cancelled_queued + s.cancelled_prefill +
         s.cancelled_decode;
}

TEST(RequestCounters, NothingHasHappened) {
  const RequestStats s = RequestCounters().Read(5 * kMs);
  EXPECT_EQ(s.accepted + s.rejected + s.queued + s.running + Ends(s), 0u);
  EXPECT_EQ(s.prefill_tokens_per_second + s.decode_tokens_per_second + s.mean_request_ms, 0);
  EXPECT_EQ(s.last_progress_ms, 0);
  EXPECT_EQ(s.request_ms.count, 0u);
}

TEST(RequestCounters, ARequestFromAcceptedToItsEnd) {
  RequestCounters counters;
  counters.Accepted();
  EXPECT_EQ(counters.Read(0).queued, 1u);
  counters.Started(100 * kMs, 30);
  RequestStats s = counters.Read(107 * kMs);
  EXPECT_EQ(s.queued, 0u);
  EXPECT_EQ(s.running, 1u);
  EXPECT_DOUBLE_EQ(s.last_progress_ms, 7);
  EXPECT_DOUBLE_EQ(s.queue_ms.sum, 30);
  counters.Progressed(120 * kMs);
  EXPECT_DOUBLE_EQ(counters.Read(121 * kMs).last_progress_ms, 1);
  EXPECT_DOUBLE_EQ(counters.Read(119 * kMs).last_progress_ms, 0);  // a clock read before it
  counters.FirstToken(150 * kMs, 80);
  counters.NextToken(160 * kMs, 10);
  counters.NextToken(180 * kMs, 20);
  s = counters.Read(180 * kMs);
  EXPECT_EQ(s.output_tokens, 3u);
  EXPECT_DOUBLE_EQ(s.last_progress_ms, 0);
  EXPECT_DOUBLE_EQ(s.first_token_ms.sum, 80);
  EXPECT_EQ(s.token_ms.count, 2u);
  EXPECT_DOUBLE_EQ(s.token_ms.sum, 30);
  EXPECT_DOUBLE_EQ(s.decode_tokens_per_second, 1e3 / 11);  // 10 ms, and a tenth of 20 - 10
  counters.Ended(FinishReason::kStop, 3, 90,
                 {.prompt_tokens = 50, .cached_tokens = 10, .prefill_ms = 20});
  s = counters.Read(500 * kMs);
  EXPECT_EQ(s.running, 0u);
  EXPECT_EQ(s.last_progress_ms, 0);  // nothing runs
  EXPECT_EQ(s.stopped, 1u);
  EXPECT_EQ(s.prompt_tokens, 50u);
  EXPECT_EQ(s.cached_tokens, 10u);
  EXPECT_DOUBLE_EQ(s.prefill_tokens_per_second, 2000);  // of the 40 that were computed
  EXPECT_DOUBLE_EQ(s.mean_request_ms, 90);
  EXPECT_DOUBLE_EQ(s.request_ms.sum, 90);
  EXPECT_DOUBLE_EQ(s.prefill_ms.sum, 20);
}

TEST(RequestCounters, EachEndIsCountedAsItself) {
  RequestCounters counters;
  const auto end = [&](const Result<FinishReason>& result, uint64_t tokens) {
    counters.Accepted();
    counters.Started(0, 0);
    counters.Ended(result, tokens, 10, {});
  };
  for (int i = 0; i < 1; ++i) end(FinishReason::kStop, 1);
  for (int i = 0; i < 2; ++i) end(FinishReason::kLength, 1);
  for (int i = 0; i < 3; ++i) end(Error{Code::kIo, "gone"}, 1);
  for (int i = 0; i < 4; ++i) end(FinishReason::kCancelled, 0);
  for (int i = 0; i < 5; ++i) end(FinishReason::kCancelled, 1);
  for (int i = 0; i < 6; ++i) {
    counters.Accepted();
    counters.Withdrawn();
  }
  for (int i = 0; i < 7; ++i) counters.Rejected();
  const RequestStats s = counters.Read(0);
  EXPECT_EQ(s.stopped, 1u);
  EXPECT_EQ(s.length, 2u);
  EXPECT_EQ(s.failed, 3u);
  EXPECT_EQ(s.cancelled_prefill, 4u);
  EXPECT_EQ(s.cancelled_decode, 5u);
  EXPECT_EQ(s.cancelled_queued, 6u);
  EXPECT_EQ(s.rejected, 7u);
  EXPECT_EQ(s.queued + s.running, 0u);
  EXPECT_EQ(s.accepted, Ends(s));
  EXPECT_EQ(s.request_ms.count, 15u);  // those that ran
}

TEST(RequestCounters, MeansFollowTheNewestSlowly) {
  RequestCounters counters;
  counters.Ended(FinishReason::kStop, 1, 100, {});
  counters.Ended(FinishReason::kStop, 1, 200, {});
  EXPECT_DOUBLE_EQ(counters.Read(0).mean_request_ms, 120);
  // A prompt that came from the cache says nothing about the speed of computing one.
  counters.Ended(FinishReason::kStop, 1, 1,
                 {.prompt_tokens = 8, .cached_tokens = 8, .prefill_ms = 1});
  EXPECT_EQ(counters.Read(0).prefill_tokens_per_second, 0);
}

}  // namespace
}  // namespace mach::engine
