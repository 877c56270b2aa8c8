// The engine's events on their way to the loop thread.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "base/memory_account.h"
#include "base/mutex.h"
#include "engine/engine.h"

namespace mach::server {

// Written by the engine thread, read by the loop thread. The engine may keep it longer than the
// reader: after Disconnect nobody is woken.
class TokenChannel final : public engine::Sink {
 public:
  struct Progress {
    size_t done = 0;
    size_t total = 0;
  };
  struct Batch {
    std::vector<engine::TokenEvent> tokens;
    std::vector<Progress> progress;
    bool lost = false;  // there was no memory for a part of it: nothing else comes but the end
    std::optional<std::pair<Result<engine::FinishReason>, engine::Timings>> end;
  };
  // Tokens of one batch at most: what is made of them is many times larger.
  static constexpr size_t kMostTokens = 256;

  // What waits in it is charged to the account of the scope in which it is made.
  explicit TokenChannel(std::function<void()> wake) : wake_(std::move(wake)) {}

  void OnPrefill(size_t done_tokens, size_t total_tokens) override {
    const MutexLock lock(mu_);
    Keep([&]() EXCLUSIVE_LOCKS_REQUIRED(mu_) { progress_.push_back({done_tokens, total_tokens}); });
  }
  void OnToken(const engine::TokenEvent& event) override {
    const MutexLock lock(mu_);
    if (!lost_) Keep([&]() EXCLUSIVE_LOCKS_REQUIRED(mu_) { tokens_.push_back(event); });
  }
  void OnDone(Result<engine::FinishReason> result, const engine::Timings& timings) override {
    const MutexLock lock(mu_);
    Keep([&]() EXCLUSIVE_LOCKS_REQUIRED(mu_) { end_.emplace(std::move(result), timings); });
  }

  // The next of what has come. Wakes again where that is not all.
  Batch Take() {
    const MutexLock lock(mu_);
    Batch batch;
    batch.progress = std::exchange(progress_, {});
    batch.lost = lost_;
    const auto last =
        tokens_.begin() + static_cast<std::ptrdiff_t>(std::min(tokens_.size(), kMostTokens));
    batch.tokens.assign(std::move_iterator(tokens_.begin()), std::move_iterator(last));
    tokens_.erase(tokens_.begin(), last);
    if (tokens_.empty()) {
      batch.end = std::exchange(end_, std::nullopt);
    } else if (wake_) {
      wake_();
    }
    return batch;
  }
  void Disconnect() {
    const MutexLock lock(mu_);
    wake_ = nullptr;
  }

 private:
  // The engine's thread serves others too: nothing of one reader's is thrown into it.
  template <class Function>
  void Keep(const Function& function) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const MemoryScope scope(account_);
    try {
      function();
      const MemoryScope uncounted(nullptr);  // the one who is woken frees it
      if (wake_) wake_();
    } catch (const std::bad_alloc&) {
      lost_ = true;
      tokens_.clear();  // nobody can use a part, and others the memory
    }
  }
  const std::shared_ptr<MemoryAccount> account_ = MemoryScope::Current();
  Mutex mu_;
  std::deque<engine::TokenEvent> tokens_ GUARDED_BY(mu_);
  std::vector<Progress> progress_ GUARDED_BY(mu_);
  bool lost_ GUARDED_BY(mu_) = false;
  std::optional<std::pair<Result<engine::FinishReason>, engine::Timings>> end_ GUARDED_BY(mu_);
  std::function<void()> wake_ GUARDED_BY(mu_);  // called under mu_, so that Disconnect is final
};

}  // namespace mach::server
