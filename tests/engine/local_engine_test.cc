#include "engine/local_engine.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "expert_files.h"
#include "io/file.h"

namespace mach::engine {
namespace {

class Collector final : public Sink {
 public:
  // Blocks the engine thread at the first token until Release, when told to.
  explicit Collector(bool hold = false) : hold_(hold) {}

  void OnPrefill(size_t done, size_t total) override {
    std::lock_guard lock(mu_);
    EXPECT_LE(done, total);
    EXPECT_TRUE(tokens_.empty());
    prefilled_ = done;
  }
  void OnToken(const TokenEvent& event) override {
    std::unique_lock lock(mu_);
    EXPECT_FALSE(result_.has_value());
    tokens_.push_back(event);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !hold_; });
  }
  void OnDone(Result<FinishReason> result, const Timings& timings) override {
    std::lock_guard lock(mu_);
    EXPECT_FALSE(result_.has_value());
    result_.emplace(std::move(result));
    timings_ = timings;
    changed_.notify_all();
  }

  void Release() {
    std::lock_guard lock(mu_);
    hold_ = false;
    changed_.notify_all();
  }
  void WaitForToken() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return !tokens_.empty(); });
  }
  Result<FinishReason> Wait() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return result_.has_value(); });
    return *result_;
  }
  std::vector<TokenId> Tokens() {
    std::lock_guard lock(mu_);
    std::vector<TokenId> ids;
    for (const TokenEvent& e : tokens_) ids.push_back(e.token);
    return ids;
  }
  std::vector<TokenEvent> Events() {
    std::lock_guard lock(mu_);
    return tokens_;
  }
  size_t prefilled() {
    std::lock_guard lock(mu_);
    return prefilled_;
  }
  Timings timings() {
    std::lock_guard lock(mu_);
    return timings_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool hold_;
  size_t prefilled_ = 0;
  std::vector<TokenEvent> tokens_;
  std::optional<Result<FinishReason>> result_;
  Timings timings_;
};

constexpr size_t kContext = 64;
constexpr const char* kCheckpoint = MACH_SOURCE_DIR "/tests/goldens/qwen3_5_moe/hub";

// streaming: nothing keeps all experts in memory.
std::unique_ptr<Engine> NewEngine(size_t max_queue = 4,
                                  std::optional<residency::StreamingSetup> streaming = {}) {
  auto model =
      residency::LoadedModel::Load(io::PosixFileSystem(), {.checkpoint = kCheckpoint,
                                                           .context_tokens = kContext,
                                                           .threads = 1,
                                                           .max_rows = 16,
                                                           .streaming = std::move(streaming)});
  EXPECT_TRUE(model.ok()) << model.error().message;
  static const SystemClock clock;
  auto engine =
      MakeLocalEngine(*std::move(model), {.model_id = "tiny", .max_queue = max_queue}, clock);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return *std::move(engine);
}

Request Greedy(std::vector<TokenId> prompt, size_t max_tokens) {
  Request r;
  r.prompt = std::move(prompt);
  r.max_tokens = max_tokens;
  r.sampling.temperature = 0;
  return r;
}

// The tokens and the end of one request.
std::pair<std::vector<TokenId>, FinishReason> Answer(Engine& engine, Request request) {
  auto sink = std::make_shared<Collector>();
  auto generation = engine.Submit(std::move(request), sink);
  EXPECT_TRUE(generation.ok()) << generation.error().message;
  const auto result = sink->Wait();
  EXPECT_TRUE(result.ok()) << result.error().message;
  return {sink->Tokens(), *result};
}

const std::vector<TokenId> kPrompt = {5,  9,  200, 31, 77, 12, 8, 5, 9, 200,
                                      31, 77, 12,  8,  1,  2,  3, 4, 5, 6};

TEST(LocalEngine, RequestsDoNotSeeEachOther) {
  const auto engine = NewEngine();
  const auto first = Answer(*engine, Greedy(kPrompt, 10));
  EXPECT_EQ(first.first.size(), 10u);
  EXPECT_EQ(first.second, FinishReason::kLength);
  Answer(*engine, Greedy({1, 2, 3}, 5));
  EXPECT_EQ(Answer(*engine, Greedy(kPrompt, 10)), first);
}

TEST(LocalEngine, AStopTokenEndsAndIsNotReported) {
  const auto engine = NewEngine();
  const std::vector<TokenId> all = Answer(*engine, Greedy(kPrompt, 10)).first;
  Request request = Greedy(kPrompt, 10);
  request.stop_tokens = {all[4]};
  const auto [tokens, reason] = Answer(*engine, request);
  EXPECT_EQ(reason, FinishReason::kStop);
  const auto first = std::find(all.begin(), all.end(), all[4]);
  EXPECT_EQ(tokens, std::vector<TokenId>(all.begin(), first));
}

TEST(LocalEngine, TheContextIsTheLimit) {
  const auto engine = NewEngine();
  const auto [tokens, reason] = Answer(*engine, Greedy(kPrompt, 1000));
  EXPECT_EQ(tokens.size(), kContext - kPrompt.size());
  EXPECT_EQ(reason, FinishReason::kLength);
  EXPECT_TRUE(Answer(*engine, Greedy(kPrompt, 0)).first.empty());
}

TEST(LocalEngine, SampledRunsFollowTheirSeed) {
  const auto engine = NewEngine();
  Request request = Greedy(kPrompt, 20);
  request.sampling.temperature = 1;
  request.sampling.seed = 1;
  const auto one = Answer(*engine, request);
  EXPECT_EQ(Answer(*engine, request), one);
  request.sampling.seed = 2;
  EXPECT_NE(Answer(*engine, request).first, one.first);
}

TEST(LocalEngine, LogProbabilitiesComeWithTheTokens) {
  const auto engine = NewEngine();
  Request request = Greedy(kPrompt, 3);
  request.want_logprobs = true;
  request.logprobs = 2;
  auto sink = std::make_shared<Collector>();
  ASSERT_TRUE(engine->Submit(request, sink).ok());
  ASSERT_TRUE(sink->Wait().ok());
  EXPECT_EQ(sink->prefilled(), kPrompt.size());
  EXPECT_EQ(sink->timings().prompt_tokens, kPrompt.size());
  EXPECT_EQ(sink->timings().output_tokens, 3u);
  for (const TokenEvent& event : sink->Events()) {
    ASSERT_EQ(event.top.size(), 2u);
    EXPECT_EQ(event.top[0].token, event.token);  // greedy takes the most probable
    EXPECT_EQ(event.top[0].logprob, event.logprob);
    EXPECT_LE(event.top[1].logprob, event.top[0].logprob);
    EXPECT_LE(event.logprob, 0);
  }
}

TEST(LocalEngine, WhatCannotBeServedIsRefusedAtOnce) {
  const auto engine = NewEngine();
  Request hot = Greedy(kPrompt, 1);
  hot.sampling.temperature = -1;
  for (const Request& bad : {Greedy({}, 1), Greedy(std::vector<TokenId>(kContext, 1), 1),
                             Greedy({256}, 1), Greedy({-1}, 1), hot}) {
    const auto refused = engine->Submit(bad, std::make_shared<Collector>());
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  }
}

TEST(LocalEngine, CancelsRunningAndQueuedAndBoundsTheQueue) {
  const auto engine = NewEngine(1);
  auto running = std::make_shared<Collector>(true);
  auto first = engine->Submit(Greedy(kPrompt, 40), running);
  ASSERT_TRUE(first.ok());
  running->WaitForToken();

  auto queued = std::make_shared<Collector>();
  auto second = engine->Submit(Greedy(kPrompt, 40), queued);
  ASSERT_TRUE(second.ok());
  const auto third = engine->Submit(Greedy(kPrompt, 40), std::make_shared<Collector>());
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, Code::kBusy);

  EXPECT_EQ(engine->requests().size(), 2u);
  (*second)->Cancel();
  EXPECT_EQ(*queued->Wait(), FinishReason::kCancelled);  // while the first still runs
  EXPECT_EQ(engine->requests().size(), 1u);
  (*first)->Cancel();
  running->Release();
  EXPECT_EQ(*running->Wait(), FinishReason::kCancelled);
  EXPECT_EQ(running->Tokens().size(), 1u);
  EXPECT_TRUE(queued->Tokens().empty());
  EXPECT_EQ(Answer(*engine, Greedy(kPrompt, 5)).first.size(), 5u);  // and goes on
}

TEST(LocalEngine, TellsOfItselfWhileItWorks) {
  const auto engine = NewEngine();
  auto running = std::make_shared<Collector>(true);
  Request request = Greedy(kPrompt, 40);
  request.id = "r";
  ASSERT_TRUE(engine->Submit(request, running).ok());
  running->WaitForToken();
  // The engine thread is blocked within a token: neither call waits for it.
  EXPECT_EQ(engine->stats().requests.running, 1u);
  EXPECT_EQ(engine->stats().requests.output_tokens, 1u);
  const std::vector<RequestInfo> listed = engine->requests();
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].state, RequestState::kDecode);
  EXPECT_EQ(listed[0].prefilled_tokens, kPrompt.size());
  EXPECT_EQ(engine->CancelRequest("r"), 1u);
  running->Release();
  EXPECT_EQ(*running->Wait(), FinishReason::kCancelled);
  EXPECT_EQ(engine->stats().requests.cancelled_decode, 1u);
  EXPECT_EQ(engine->stats().requests.prompt_tokens, kPrompt.size());
  EXPECT_FALSE(engine->stats().bank.has_value());
  EXPECT_FALSE(engine->stats().prefix_cache.has_value());
}

TEST(LocalEngine, StreamsWhileOthersLook) {
  const test::ExpertFiles files(kCheckpoint, "local_engine");
  residency::StreamingSetup streaming;
  streaming.catalog = files.catalog();
  streaming.options.bank_bytes = streaming.catalog.RecordCount() / 2 * streaming.catalog.slot_bytes;
  streaming.options.prefetch = experts::Prefetch::kOn;
  streaming.read_mode = io::ReadMode::kPread;
  const auto expected = Answer(*NewEngine(), Greedy(kPrompt, 30));
  const auto engine = NewEngine(4, std::move(streaming));
  std::atomic<bool> over = false;
  uint64_t most = 0;
  std::thread looks([&] {
    while (!over) {
      const uint64_t read = engine->stats().bank->bytes_read;
      EXPECT_GE(read, most);
      most = read;
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(Answer(*engine, Greedy(kPrompt, 30)), expected);
  over = true;
  looks.join();
  EXPECT_GT(engine->stats().bank->bytes_read, 0u);
  EXPECT_GT(engine->stats().bank->hits, 0u);
}

TEST(LocalEngine, DestructionEndsWhatRunsAndWhatWaits) {
  auto running = std::make_shared<Collector>(true);
  auto queued = std::make_shared<Collector>();
  {
    const auto engine = NewEngine();
    ASSERT_TRUE(engine->Submit(Greedy(kPrompt, 40), running).ok());
    running->WaitForToken();
    ASSERT_TRUE(engine->Submit(Greedy(kPrompt, 40), queued).ok());
    running->Release();
  }
  EXPECT_TRUE(running->Wait().ok());
  EXPECT_TRUE(queued->Wait().ok());
}

}  // namespace
}  // namespace mach::engine
