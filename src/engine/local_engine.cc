#include "engine/local_engine.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "engine/decoder.h"
#include "sample/params.h"

namespace mach::engine {
namespace {

class QueuedGeneration final : public Generation {
 public:
  QueuedGeneration(Request r, std::shared_ptr<Sink> s, int64_t now)
      : request(std::move(r)), sink(std::move(s)), queued_ns(now) {}
  void Cancel() override { cancelled.store(true, std::memory_order_relaxed); }

  const Request request;
  const std::shared_ptr<Sink> sink;
  const int64_t queued_ns;
  std::atomic<bool> cancelled{false};
};

class LocalEngine final : public Engine {
 public:
  LocalEngine(std::unique_ptr<model::LoadedModel> model, Info info,
              std::unique_ptr<Decoder> decoder, size_t max_queue)
      : model_(std::move(model)),
        info_(std::move(info)),
        max_queue_(max_queue),
        decoder_(std::move(decoder)) {
    thread_ = std::thread([this] { Loop(); });
  }

  ~LocalEngine() override {
    {
      std::lock_guard lock(mu_);
      stop_ = true;
      for (const auto& g : queue_) g->Cancel();
      if (running_) running_->Cancel();
    }
    wake_.notify_all();
    thread_.join();
  }

  const Info& info() const override { return info_; }

  Result<std::shared_ptr<Generation>> Submit(Request request, std::shared_ptr<Sink> sink) override {
    MACH_RETURN_IF_ERROR(Check(request));
    auto generation =
        std::make_shared<QueuedGeneration>(std::move(request), std::move(sink), clock_.NowNs());
    {
      std::lock_guard lock(mu_);
      if (stop_) return Error{Code::kBusy, "the engine is shutting down"};
      // One more while the engine is between two requests: it will take that one at once.
      if (queue_.size() >= max_queue_ + (running_ == nullptr ? 1 : 0)) {
        return Error{Code::kBusy, std::to_string(queue_.size()) + " requests are waiting already"};
      }
      queue_.push_back(generation);
    }
    wake_.notify_one();
    return std::shared_ptr<Generation>(std::move(generation));
  }

 private:
  Status Check(const Request& request) const {
    if (request.prompt.empty()) return Error{Code::kInvalidArgument, "the prompt has no tokens"};
    if (request.prompt.size() >= info_.context_tokens) {
      return Error{Code::kInvalidArgument,
                   "the prompt has " + std::to_string(request.prompt.size()) +
                       " tokens; the context holds " + std::to_string(info_.context_tokens) +
                       " with the answer; shorten it or restart with a larger --ctx-size"};
    }
    for (const TokenId t : request.prompt) {
      if (t < 0 || static_cast<size_t>(t) >= info_.vocab_size) {
        return Error{Code::kInvalidArgument, "token id " + std::to_string(t) +
                                                 " is not below the vocabulary's " +
                                                 std::to_string(info_.vocab_size)};
      }
    }
    return sample::ValidateParams(request.sampling, info_.vocab_size);
  }

  void Loop() {
    while (true) {
      std::shared_ptr<QueuedGeneration> next;
      {
        std::unique_lock lock(mu_);
        running_.reset();
        wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
        if (queue_.empty()) return;  // stopping; what was queued has been told
        next = queue_.front();
        queue_.pop_front();
        running_ = next;
      }
      Run(*next);
    }
  }

  void Run(QueuedGeneration& g) {
    Timings timings;
    timings.queue_ms = static_cast<double>(clock_.NowNs() - g.queued_ns) * 1e-6;
    timings.prompt_tokens = g.request.prompt.size();
    Result<FinishReason> result = decoder_->Run(g.request, g.cancelled, *g.sink, timings);
    if (!result && result.error().code == Code::kCancelled) result = FinishReason::kCancelled;
    g.sink->OnDone(std::move(result), timings);
  }

  const SystemClock clock_;
  const std::unique_ptr<model::LoadedModel> model_;
  const Info info_;
  const size_t max_queue_;

  const std::unique_ptr<Decoder> decoder_;  // used by the engine thread

  std::mutex mu_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<QueuedGeneration>> queue_;  // guarded by mu_
  std::shared_ptr<QueuedGeneration> running_;            // guarded by mu_
  bool stop_ = false;                                    // guarded by mu_
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Engine>> MakeLocalEngine(std::unique_ptr<model::LoadedModel> model,
                                                const LocalEngineOptions& options) {
  MACH_TRY(Info info, DescribeModel(*model, options.model_id));
  static const SystemClock clock;
  MACH_TRY(auto decoder, Decoder::Create(*model, clock));
  return std::unique_ptr<Engine>(std::make_unique<LocalEngine>(
      std::move(model), std::move(info), std::move(decoder), options.max_queue));
}

}  // namespace mach::engine
