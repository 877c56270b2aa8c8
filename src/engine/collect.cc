#include "engine/collect.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace mach::engine {
namespace {

constexpr std::chrono::milliseconds kLookInterval{50};

class Collector final : public Sink {
 public:
  explicit Collector(std::function<void(const TokenEvent&)> on_token)
      : on_token_(std::move(on_token)) {}

  void OnPrefill(size_t, size_t) override {}
  void OnToken(const TokenEvent& event) override {
    answer_.tokens.push_back(event.token);
    if (on_token_) on_token_(event);
  }
  void OnDone(Result<FinishReason> result, const Timings& timings) override {
    const std::lock_guard lock(mu_);
    answer_.timings = timings;
    if (result) answer_.reason = *result;
    result_.emplace(std::move(result));
    done_.notify_all();
  }

  Result<Answer> Wait(Generation& generation, const std::function<bool()>& cancelled) {
    std::unique_lock lock(mu_);
    const auto ended = [&] { return result_.has_value(); };
    if (!cancelled) {
      done_.wait(lock, ended);
    } else {
      do {
        lock.unlock();
        // A request that is queued ends within Cancel, on this thread.
        if (cancelled()) generation.Cancel();
        lock.lock();
      } while (!done_.wait_for(lock, kLookInterval, ended));
    }
    if (!*result_) return std::move(*result_).error();
    return std::move(answer_);
  }

 private:
  const std::function<void(const TokenEvent&)> on_token_;
  Answer answer_;  // of the engine's thread until the end, then of the caller's
  std::mutex mu_;
  std::condition_variable done_;
  std::optional<Result<FinishReason>> result_;  // guarded by mu_
};

}  // namespace

Result<Answer> Collect(Engine& engine, Request request, const CollectOptions& options) {
  const auto collector = std::make_shared<Collector>(options.on_token);
  MACH_TRY(const auto generation, engine.Submit(std::move(request), collector));
  return collector->Wait(*generation, options.cancelled);
}

}  // namespace mach::engine
