#include "engine/request_queue.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::engine {
namespace {

using testing::ElementsAre;

class ManualClock final : public Clock {
 public:
  int64_t NowNs() const override { return now_.load(); }
  int64_t UnixSeconds() const override { return 0; }
  void AdvanceMs(int64_t ms) { now_ += ms * 1'000'000; }

 private:
  std::atomic<int64_t> now_{1'000'000'000};
};

class CountingSink final : public Sink {
 public:
  void OnPrefill(size_t, size_t) override { ++prefills; }
  void OnToken(const TokenEvent&) override { ++tokens; }
  void OnDone(Result<FinishReason> result, const Timings& timings) override {
    ++ends;
    cancelled = result.ok() && *result == FinishReason::kCancelled;
    queue_ms = timings.queue_ms;
  }
  std::atomic<int> prefills{0}, tokens{0}, ends{0};
  std::atomic<bool> cancelled{false};
  std::atomic<double> queue_ms{0};
};

class RequestQueueTest : public testing::Test {
 protected:
  std::shared_ptr<QueuedRequest> Add(const std::string& id, const std::string& session = "",
                                     std::shared_ptr<Sink> sink = nullptr) {
    Request request;
    request.id = id;
    request.session = session;
    request.prompt = {1, 2, 3};
    request.max_tokens = 5;
    if (sink == nullptr) sink = std::make_shared<CountingSink>();
    auto item = queue_->Submit(std::move(request), std::move(sink));
    return item.ok() ? *item : nullptr;
  }
  std::vector<std::string> ListedIds() const {
    std::vector<std::string> ids;
    for (const RequestInfo& info : queue_->List()) ids.push_back(info.id);
    return ids;
  }
  // Runs the next request to its end.
  std::string RunOne(FinishReason reason = FinishReason::kStop) {
    double queue_ms = 0;
    const auto item = queue_->Next(queue_ms);
    if (item == nullptr) return "";
    item->OnDone(reason, {.prompt_tokens = 3});
    return item->request.id;
  }

  ManualClock clock_;
  std::shared_ptr<RequestQueue> queue_ = std::make_shared<RequestQueue>(8, clock_);
};

TEST_F(RequestQueueTest, WithoutSessionsTheOldestGoesFirst) {
  for (const char* id : {"a", "b", "c"}) Add(id);
  EXPECT_EQ(RunOne(), "a");
  Add("d");
  EXPECT_EQ(RunOne(), "b");
  EXPECT_EQ(RunOne(), "c");
  EXPECT_EQ(RunOne(), "d");
}

TEST_F(RequestQueueTest, SessionsTakeTurns) {
  const auto a1 = Add("a1", "a");
  const auto a2 = Add("a2", "a");
  const auto a3 = Add("a3", "a");
  const auto b1 = Add("b1", "b");
  const auto x = Add("x");  // no session: one of its own
  const auto b2 = Add("b2", "b");
  EXPECT_THAT(ListedIds(), ElementsAre("a1", "b1", "x", "a2", "b2", "a3"));
  EXPECT_EQ(a1->queue_position(), 1u);
  EXPECT_EQ(b1->queue_position(), 2u);
  EXPECT_EQ(x->queue_position(), 3u);
  EXPECT_EQ(a2->queue_position(), 4u);
  EXPECT_EQ(b2->queue_position(), 5u);
  EXPECT_EQ(a3->queue_position(), 6u);
  EXPECT_EQ(RunOne(), "a1");
  EXPECT_EQ(a1->queue_position(), 0u);
  EXPECT_THAT(ListedIds(), ElementsAre("b1", "x", "a2", "b2", "a3"));
  Add("c1", "c");  // behind the sessions that wait, before the second turn of any
  std::vector<std::string> ran;
  for (int i = 0; i < 6; ++i) ran.push_back(RunOne());
  EXPECT_THAT(ran, ElementsAre("b1", "x", "a2", "c1", "b2", "a3"));
}

TEST_F(RequestQueueTest, ASessionsNameIsNoKeyOfANamelessOne) {
  Add("nameless");
  Add("named", "#0");
  Add("named2", "#0");
  EXPECT_THAT(ListedIds(), ElementsAre("nameless", "named", "named2"));
}

TEST_F(RequestQueueTest, WhatWaitsIsCancelledAtOnce) {
  Add("first", "s");
  const auto sink = std::make_shared<CountingSink>();
  const auto waiting = Add("second", "s", sink);
  clock_.AdvanceMs(250);
  waiting->Cancel();
  EXPECT_EQ(sink->ends, 1);
  EXPECT_TRUE(sink->cancelled);
  EXPECT_DOUBLE_EQ(sink->queue_ms, 250);
  waiting->Cancel();
  EXPECT_EQ(sink->ends, 1);
  EXPECT_THAT(ListedIds(), ElementsAre("first"));
  EXPECT_EQ(queue_->stats().cancelled_queued, 1u);
  EXPECT_EQ(queue_->stats().queued, 1u);
}

TEST_F(RequestQueueTest, WhatRunsIsToldToStop) {
  const auto sink = std::make_shared<CountingSink>();
  const auto running = Add("r", "", sink);
  double queue_ms = 0;
  ASSERT_EQ(queue_->Next(queue_ms), running);
  EXPECT_EQ(queue_->Cancel("r"), 1u);
  EXPECT_TRUE(running->cancelled());
  EXPECT_EQ(sink->ends, 0);  // the engine's to say
  running->OnDone(FinishReason::kCancelled, {});
  EXPECT_EQ(sink->ends, 1);
  EXPECT_EQ(queue_->stats().cancelled_prefill, 1u);
}

TEST_F(RequestQueueTest, CancelsByIdWithTheChoicesOfIt) {
  for (const char* id : {"q/0", "q/1", "q2", "q"}) Add(id);
  EXPECT_EQ(queue_->Cancel("q"), 3u);
  EXPECT_EQ(queue_->Cancel("q"), 0u);
  EXPECT_THAT(ListedIds(), ElementsAre("q2"));
}

TEST_F(RequestQueueTest, IsBounded) {
  queue_ = std::make_shared<RequestQueue>(2, clock_);
  EXPECT_NE(Add("a"), nullptr);
  EXPECT_NE(Add("b"), nullptr);
  EXPECT_NE(Add("c"), nullptr);  // the engine takes the first at once
  const auto refused = queue_->Submit({.id = "d"}, std::make_shared<CountingSink>());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kBusy);
  double queue_ms = 0;
  const auto running = queue_->Next(queue_ms);
  EXPECT_EQ(Add("e"), nullptr);
  running->OnDone(FinishReason::kStop, {});
  EXPECT_NE(Add("f"), nullptr);
  EXPECT_EQ(queue_->stats().rejected, 2u);
}

TEST_F(RequestQueueTest, CountsAndTimes) {
  const auto item = Add("r");
  clock_.AdvanceMs(100);
  double queue_ms = 0;
  ASSERT_EQ(queue_->Next(queue_ms), item);
  EXPECT_DOUBLE_EQ(queue_ms, 100);
  item->OnPrefill(0, 3);
  item->OnPrefill(2, 3);
  EXPECT_EQ(queue_->List()[0].state, RequestState::kPrefill);
  EXPECT_EQ(queue_->List()[0].prefilled_tokens, 2u);
  item->OnPrefill(3, 3);
  clock_.AdvanceMs(50);
  for (int i = 0; i < 3; ++i) {
    item->OnToken({});
    clock_.AdvanceMs(20);
  }
  const RequestInfo listed = queue_->List()[0];
  EXPECT_EQ(listed.state, RequestState::kDecode);
  EXPECT_EQ(listed.output_tokens, 3u);
  EXPECT_DOUBLE_EQ(listed.age_ms, 210);
  RequestStats stats = queue_->stats();
  EXPECT_EQ(stats.running, 1u);
  EXPECT_DOUBLE_EQ(stats.last_progress_ms, 20);
  EXPECT_DOUBLE_EQ(stats.decode_tokens_per_second, 50);
  item->OnDone(FinishReason::kLength,
               {.prompt_tokens = 3, .cached_tokens = 1, .output_tokens = 3, .prefill_ms = 50});
  stats = queue_->stats();
  EXPECT_EQ(stats.running, 0u);
  EXPECT_EQ(stats.length, 1u);
  EXPECT_EQ(stats.prompt_tokens, 3u);
  EXPECT_EQ(stats.cached_tokens, 1u);
  EXPECT_EQ(stats.output_tokens, 3u);
  EXPECT_DOUBLE_EQ(stats.prefill_tokens_per_second, 40);
  EXPECT_DOUBLE_EQ(stats.mean_request_ms, 110);
  EXPECT_EQ(stats.first_token_ms.count, 1u);
  EXPECT_DOUBLE_EQ(stats.first_token_ms.sum, 150);
  EXPECT_EQ(stats.token_ms.count, 2u);
}

TEST_F(RequestQueueTest, StopEndsWhatWaitsAndLetsNothingIn) {
  const auto sink = std::make_shared<CountingSink>();
  Add("a", "", sink);
  queue_->Stop();
  EXPECT_TRUE(sink->cancelled);
  EXPECT_EQ(Add("b"), nullptr);
  double queue_ms = 0;
  EXPECT_EQ(queue_->Next(queue_ms), nullptr);
}

TEST_F(RequestQueueTest, ARequestMayOutliveTheQueue) {
  const auto sink = std::make_shared<CountingSink>();
  const auto item = Add("a", "", sink);
  queue_->Stop();
  queue_.reset();
  item->Cancel();
  EXPECT_EQ(item->queue_position(), 0u);
  EXPECT_EQ(sink->ends, 1);
}

// Submitting, cancelling and running at once: every request ends once, and the counters add up.
TEST_F(RequestQueueTest, EveryRequestEndsOnce) {
  constexpr int kThreads = 3;
  constexpr int kEach = 400;
  std::thread engine([&] {
    double queue_ms = 0;
    while (const auto item = queue_->Next(queue_ms)) {
      if (!item->cancelled()) item->OnToken({});
      item->OnDone(item->cancelled() ? FinishReason::kCancelled : FinishReason::kStop, {});
    }
  });
  std::vector<std::vector<std::shared_ptr<CountingSink>>> sinks(kThreads);
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto sink = std::make_shared<CountingSink>();
        const auto item = Add(std::to_string(i), i % 2 == 0 ? "" : std::to_string(t), sink);
        if (item == nullptr) continue;
        sinks[static_cast<size_t>(t)].push_back(sink);
        if (i % 3 == 0) item->Cancel();
        if (i % 7 == 0) queue_->List();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  queue_->Stop();
  engine.join();
  size_t accepted = 0;
  for (const auto& list : sinks) {
    accepted += list.size();
    for (const auto& sink : list) EXPECT_EQ(sink->ends, 1);
  }
  const RequestStats s = queue_->stats();
  EXPECT_EQ(s.accepted, accepted);
  EXPECT_EQ(s.accepted + s.rejected, uint64_t{kThreads * kEach});
  EXPECT_EQ(s.stopped + s.cancelled_queued + s.cancelled_prefill + s.cancelled_decode, accepted);
  EXPECT_EQ(s.queued + s.running, 0u);
}

}  // namespace
}  // namespace mach::engine
