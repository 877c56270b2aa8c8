#include "engine/collect.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"

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
    const MutexLock lock(mu_);
    answer_.timings = timings;
    if (result) answer_.reason = *result;
    result_.emplace(std::move(result));
    done_.NotifyAll();
  }

  Result<Answer> Wait(Generation& generation, const std::function<bool()>& cancelled) {
    MutexLock lock(mu_);
    while (!result_) {
      if (!cancelled) {
        done_.Wait(mu_);
        continue;
      }
      lock.Unlock();
      // A request that is queued ends within Cancel, on this thread.
      if (cancelled()) generation.Cancel();
      lock.Lock();
      if (!result_) done_.WaitFor(mu_, kLookInterval);
    }
    if (!*result_) return std::move(*result_).error();
    return std::move(answer_);
  }

 private:
  const std::function<void(const TokenEvent&)> on_token_;
  Answer answer_;  // of the engine's thread until the end, then of the caller's
  Mutex mu_;
  CondVar done_;
  std::optional<Result<FinishReason>> result_ GUARDED_BY(mu_);
};

}  // namespace

Result<Answer> Collect(Engine& engine, Request request, const CollectOptions& options) {
  const auto collector = std::make_shared<Collector>(options.on_token);
  MACH_TRY(const auto generation, engine.Submit(std::move(request), collector));
  return collector->Wait(*generation, options.cancelled);
}

}  // namespace mach::engine
